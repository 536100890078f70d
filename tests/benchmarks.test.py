"""The routes of every benchmark come to the same number: benchmarks.test.py PROGRAM..."""
import json
import os
import re
import subprocess
import sys
import unittest

programs = sys.argv[1:]
# left out; the rest takes a quarter of a minute
LARGE = "P=3626|n=(1280|2304|3626|1000000|11000000)$"
# float: an eigenvalue of a small norm has the error of a large one, and a rank may turn on it
RELATIVE = {"float": 1e-4, "double": 1e-9}
RANK = {"float": 1, "double": 0}
ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def call(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ONE_THREAD).stdout


class Benchmarks(unittest.TestCase):
    def compare(self, workload, results):
        scalar = workload.rsplit("/", 1)[1]
        ours = results.pop("sagitta")
        self.assertTrue(results, "no route beside ours")
        rank = "rank " in workload
        allowed = RANK[scalar] if rank else RELATIVE[scalar] * abs(ours)
        for route, result in results.items():
            self.assertLessEqual(abs(result - ours), allowed, f"{route}: {result}, ours {ours}")
        if rank:
            self.assertGreater(ours, 1)

    def test_routes_agree(self):
        for program in programs:
            names = call(program, "--benchmark_list_tests").splitlines()
            workloads = [name for name in dict.fromkeys(name.rsplit("/", 1)[0] for name in names)
                         if not re.search(LARGE, name.rsplit("/", 1)[0])]
            self.assertTrue(workloads, program)
            for workload in workloads:
                with self.subTest(workload):
                    runs = json.loads(call(program, f"--benchmark_filter=^{workload}/",
                                           "--benchmark_min_time=0.000001", "--benchmark_format=json"))["benchmarks"]
                    self.compare(workload, {run["name"].rsplit("/", 1)[1]: run["result"] for run in runs})


unittest.main(argv=sys.argv[:1])

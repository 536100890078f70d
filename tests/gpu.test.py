"""benchmarks/gpu.sh where there is no card, and with a card, a build and programs that only print what real ones
printed: gpu.test.py PROJECT"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

project = pathlib.Path(sys.argv[1])
TARGETS = ["libtorch", "libtorch_contract", "libtorch_timing", "torch_learner_timing", "sagitta-paper"]

# what the programs print
PRINTED = {
    "tests/libtorch/libtorch": "All tests passed (23456 assertions in 71 test cases)",
    "tests/libtorch/libtorch_contract": "fisher: rank 12 of 32, check 1e-07, fallback for 0\n37 passed, 0 failed",
    "benchmarks/libtorch_timing": """\
LibTorch 2.11.0 on cuda; medians in ms, and in steps
workload       M type   |     step |  Gram   steps | checked steps |  double steps |   rank |      loop  steps | error
W1 MLP       256 float  |     4.00 |    5.00  1.25 |   13.00  3.25 |    6.00  1.50 |   2.50 |     400.0  100.0 | 1.5e-07
W2 CNN       256 double |     9.00 |   18.00  2.00 |   45.00  5.00 |   18.00  2.00 |   2.60 |    1800.0  200.0 | 3.1e-16
""",
    "benchmarks/torch_learner_timing": """\
updates a second, summed over networks; products at 50 TFLOP/s
size                           by     networks  updates/s    step/ms  products/ms    ratio
smoke 196-32^3-10, batch 32    torch         1       5000      0.200       0.0000 12345.67
paper 784-256^3-10, batch 256  torch       120     100000      1.200       1.2000     1.00
""",
}
PAPER = {
    "run": """\
data: MNIST in DATA
120 runs, 0 of them done before
 40 %, 30 of 120 runs, 30 s, about 45 s left
results: fig1.sqlite
""",
    "status": """\
fig1, random-label MNIST (mnist-7c49fa09), mlp-256-256-256, adam 0.001, batch 256, 200 epochs a task, 30 seeds
  ReLU                                         0        30 of 30 runs, 1200 of 1200 tasks
  leaky ReLU                                   0         0 of 30 runs,   77 of 1200 tasks
""",
    "check": """\
fig1, random-label MNIST (mnist-7c49fa09), mlp-256-256-256, adam 0.001, batch 256, 200 epochs a task, 30 seeds, 40 tasks
LOST ReLU: error .003 -> .639, change +.636 [+.449, +.823], 30 seeds, claimed LOST | paper: "for ReLU and leaky-ReLU"
INCONCLUSIVE leaky ReLU: 2 tasks done, expected at least 5, claimed LOST | paper: "for ReLU and leaky-ReLU"
""",
}
CMAKE = """\
#!/usr/bin/env bash
case "$*" in
  *"-S "*) echo "configured: $*"; [[ -z "${NO_CATCH:-}" || "$*" != *TESTS=ON* ]] || { echo "Catch2 not found"; exit 1; } ;;
  *"--target help") printf '%s: phony\\n' TARGETS ;;
  *) [ -z "${BROKEN:-}" ] || { echo "file.cpp:1: error: broken"; exit 1; }; cp -r "$STAND_INS/." "$2" ;;
esac
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def printing(text, last=""):
    return f"#!/usr/bin/env bash\ncat <<'TEXT'\n{text}\nTEXT\n{last}\n"


class Gpu(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.env = {**os.environ, "PATH": f"{self.path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                    "CMAKE_PREFIX_PATH": str(self.path / "torch"), "STAND_INS": str(self.path / "programs")}

    def smi(self, text, status=0):
        write(self.path / "bin/nvidia-smi", printing(text, f"exit {status}"))

    def gpu(self, *arguments, **environment):
        done = subprocess.run(["bash", str(project / "benchmarks/gpu.sh"), "--build", self.path / "build", "--output",
                               self.path / "report", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={**self.env, **environment})
        return done.returncode, done.stdout, done.stderr

    def with_a_card(self, targets=TARGETS, paper_status=75):
        self.smi("NVIDIA H200, 9.0, 143771 MiB, 570.00\nNVIDIA H200, 9.0, 143771 MiB, 570.00")
        write(self.path / "torch/Torch/TorchConfig.cmake", "")
        write(self.path / "bin/cmake", CMAKE.replace("TARGETS", " ".join(targets)))
        for program, text in PRINTED.items():
            write(self.path / "programs" / program, printing(text))
        write(self.path / "programs/examples/paper/sagitta-paper", "#!/usr/bin/env bash\ncase $1 in\n" + "".join(
            f"{command}) cat <<'TEXT'\n{text}TEXT\n;;\n" for command, text in PAPER.items()) +
            f"esac\necho \"$*\" >>'{self.path / 'paper'}'\n[ $1 != run ] || exit {paper_status}\n")

    def rows(self, text):
        lines = text.strip().splitlines()
        self.assertEqual(lines[:2], ["| what | result |", "|---|---|"])
        for line in lines:
            self.assertEqual(line.count("|"), 3, line)
        return [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2:]]

    def test_without_a_card_it_says_so_and_ends_well(self):
        self.smi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9)
        status, printed, _ = self.gpu()
        self.assertEqual((status, printed.count("\n")), (0, 1))
        self.assertIn("no GPU here", printed)
        self.assertFalse((self.path / "build").exists() or (self.path / "report").exists())

    def test_without_nvidia_smi_too(self):
        for tool in ("bash", "dirname", "date", "head"):
            write(self.path / "few" / tool, f"#!/bin/sh\nexec {shutil.which(tool)} \"$@\"\n")
        status, printed, errors = self.gpu(PATH=str(self.path / "few"))
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("no GPU here", printed)

    def test_arguments(self):
        self.assertEqual(self.gpu("--help")[0], 0)
        for wrong in (["--minutes", "0"], ["--minutes", "x"], ["--minutes"], ["--nonsense"]):
            status, _, errors = self.gpu(*wrong)
            self.assertEqual(status, 2, wrong)
            self.assertIn("gpu.sh: ", errors)

    def test_all_of_it(self):
        self.with_a_card()
        status, printed, errors = self.gpu()
        self.assertEqual(status, 0, printed + errors)
        rows = self.rows(printed)
        self.assertEqual((self.path / "report/report.md").read_text(), printed)
        self.assertEqual(rows[0], ("card", "NVIDIA H200, compute capability 9.0, 143771 MiB, driver 570.00"))
        for row in [("tests on the card and the CPU", "71 cases, 23456 assertions, all passed"),
                    ("public interface on the card", "37 passed, 0 failed"),
                    ("adapter, W1 MLP, M = 256, float", "step 4.00 ms; Gram 1.25 steps, checked 3.25, in double 1.50, by a "
                     "loop 100.0; rank 2.50 ms; error 1.5e-07"),
                    ("adapter, W2 CNN, M = 256, double", "step 9.00 ms; Gram 2.00 steps, checked 5.00, in double 2.00, by a "
                     "loop 200.0; rank 2.60 ms; error 3.1e-16"),
                    ("networks together, smoke 196-32^3-10, batch 32, 1", "5000 updates/s, 0.200 ms a step"),
                    ("networks together, paper 784-256^3-10, batch 256, 120", "100000 updates/s, 1.200 ms a step"),
                    ("Figure 1", "LOST ReLU: error .003 -> .639, change +.636 [+.449, +.823], 30 seeds, claimed LOST")]:
            self.assertIn(row, rows)
        figure = dict(rows)["Figure 1 at the paper's size"]
        self.assertRegex(figure, r"^30 of 60 networks, 1277 of 2400 tasks, \d+ s; stopped by the time given; "
                                 r"data: MNIST in DATA$")
        run = (self.path / "paper").read_text().splitlines()[0]
        hours = float(re.fullmatch(r"run fig1 --profile paper --results \S+ --learner torch --device cuda --max-hours (\S+)",
                                   run).group(1))
        self.assertTrue(8 / 60 < hours < 10 / 60, hours)
        self.assertIn("WITH_LIBTORCH=ON", (self.path / "report/configure-tests-ON-benchmarks-ON.log").read_text())

    def test_complete_run_is_not_called_stopped(self):
        self.with_a_card(paper_status=0)
        self.assertNotIn("stopped", self.gpu()[1])

    def test_what_is_missing_is_said(self):
        self.with_a_card(["libtorch_timing", "torch_learner_timing"])
        status, printed, _ = self.gpu(NO_CATCH="1")
        self.assertEqual(status, 0, printed)
        rows = self.rows(printed)
        for stage in ("tests on the card", "public interface", "Figure 1"):
            self.assertRegex(dict(rows)[stage], "^not run: CMake made no target ")
        self.assertIn("networks together, paper 784-256^3-10, batch 256, 120", dict(rows))

    def test_failures_are_failures(self):
        self.with_a_card()
        write(self.path / "programs/tests/libtorch/libtorch", printing(
            "a.cpp:3: FAILED:\ntest cases:    71 |    69 passed | 2 failed\nassertions: 23456 | 23450 passed | 6 failed",
            "exit 2"))
        write(self.path / "programs/benchmarks/libtorch_timing", printing("CUDA error: out of memory", "exit 1"))
        write(self.path / "programs/examples/paper/sagitta-paper", printing("sagitta-paper: no device | cuda", "exit 1"))
        status, printed, _ = self.gpu()
        rows = dict(self.rows(printed))
        self.assertEqual(status, 1)
        self.assertRegex(rows["tests on the card"], "^failed after ")
        self.assertEqual(rows["tests on the card and the CPU"], "FAILED: 2 of 71 cases")
        self.assertRegex(rows["adapter"], "^failed after .*: CUDA error: out of memory$")
        self.assertRegex(rows["Figure 1"], "^failed after .*: sagitta-paper: no device / cuda$")
        self.assertIn("networks together, smoke 196-32^3-10, batch 32, 1", rows)  # the rest was run

    def test_tests_that_saw_no_card(self):
        self.with_a_card()
        write(self.path / "programs/tests/libtorch/libtorch", printing(
            "warning:\n  no GPU here: the adapter was tested on the CPU only\n" + PRINTED["tests/libtorch/libtorch"]))
        status, printed, _ = self.gpu()
        self.assertEqual(status, 1)
        self.assertIn("LibTorch saw no GPU", dict(self.rows(printed))["tests on the card"])

    def test_build_that_fails(self):
        self.with_a_card()
        status, printed, _ = self.gpu(BROKEN="1")
        rows = dict(self.rows(printed))
        self.assertEqual(status, 1)
        self.assertRegex(rows["build"], "^failed after .*: file.cpp:1: error: broken$")
        self.assertEqual(rows["Figure 1"], "not run: sagitta-paper was not built")

    def test_time_that_is_up(self):
        self.with_a_card()
        sys.path.insert(0, str(project / "benchmarks"))
        sys.dont_write_bytecode = True
        import gpu
        import time
        (self.path / "report").mkdir()
        late = self.path / "late"
        write(late, "#!/usr/bin/env bash\necho begun\nsleep 60 &\nsleep 60\n")
        runner = gpu.Runner(time.time() + 1.5, self.path / "report")
        runner.shortest = 1
        stage = runner.run("late", [late], 60)
        self.assertEqual((stage.outcome, stage.text), (gpu.LATE, "begun\n"))
        self.assertLess(stage.seconds, 20)
        self.assertEqual(runner.run("later", [late], 60).remark(), "not run: no time was left")


unittest.main(argv=sys.argv[:1])

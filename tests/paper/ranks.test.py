"""sagitta-paper as several programs that divide the runs: ranks.test.py PROGRAM"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

program = os.path.abspath(sys.argv[1])
arguments = ["run", "fig1", "fig6", "--profile", "smoke", "--problem", "random_label_mnist", "--seeds", "2", "--tasks", "2",
             "--epochs", "4", "--data", "synthetic"]
variables = ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")


def environment(**ranks):
    return {**{name: value for name, value in os.environ.items() if name not in variables}, **ranks}


def paper(*words, **ranks):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True, env=environment(**ranks))


def rows(file):
    return set(paper("export", "--results", str(file)).stdout.splitlines()[1:])


class Ranks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        paper(*arguments, "--results", str(self.path / "whole.sqlite"))

    def check_parts(self):
        parts = [rows(self.path / f"parts.rank{rank}.sqlite") for rank in (0, 1)]
        self.assertTrue(all(parts))
        self.assertEqual(parts[0] & parts[1], set())
        self.assertEqual(parts[0] | parts[1], rows(self.path / "whole.sqlite"))

    def test_two_ranks_train_the_whole_grid_disjointly(self):
        for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
            processes = [subprocess.Popen([program, *arguments, "--results", str(self.path / "parts.sqlite")],
                                          env=environment(**{rank: str(number), size: "2"}), stderr=subprocess.DEVNULL)
                         for number in (0, 1)]
            self.assertEqual([process.wait(timeout=300) for process in processes], [0, 0])
            self.check_parts()
            for number in (0, 1):
                (self.path / f"parts.rank{number}.sqlite").unlink()

    @unittest.skipUnless(shutil.which("torchrun"), "torchrun is not installed")
    def test_under_torchrun(self):
        done = subprocess.run(["torchrun", "--standalone", "--nproc-per-node=2", "--no-python", program, *arguments,
                               "--results", str(self.path / "parts.sqlite")],
                              capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.check_parts()

    def test_a_rank_that_cannot_be_is_refused(self):
        for ranks in ({"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "0"}):
            done = subprocess.run([program, *arguments, "--results", str(self.path / "no.sqlite")], capture_output=True,
                                  text=True, env=environment(**ranks))
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("environment: ", done.stderr)


unittest.main(argv=sys.argv[:1])

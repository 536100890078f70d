"""sagitta-paper as a user runs it: program.test.py PROGRAM"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

program = os.path.abspath(sys.argv[1])
# about 0.3 s a run: small enough for a test, long enough to be killed in
shape = ["fig1", "fig6", "--profile", "smoke", "--problem", "random_label_mnist", "--seeds", "2"]
small = [*shape, "--tasks", "12"]


def paper(*arguments, check=True, **options):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: status {done.returncode}\n{done.stderr}")
    return done


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)

    def run_small(self, name, *more, tasks=12):
        return paper("run", *shape, "--tasks", str(tasks), "--data", "synthetic", "--results", str(self.path / name), *more)

    def export(self, name, *more):
        return paper("export", "--results", str(self.path / name), *more).stdout

    def test_killed_three_times_it_ends_with_the_same_numbers(self):
        self.run_small("undisturbed.sqlite")
        whole = self.export("undisturbed.sqlite")
        arguments = [program, "run", *small, "--data", "synthetic", "--results", str(self.path / "killed.sqlite")]
        kills, rows = 0, 0
        while kills < 3:
            with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
                # wait until this process has committed something, then kill it in the midst of its work
                while process.poll() is None:
                    time.sleep(0.02)
                    done = paper("export", "--results", str(self.path / "killed.sqlite"), check=False)
                    if done.returncode == 0 and done.stdout.count("\n") > rows + 1:
                        rows = done.stdout.count("\n")
                        break
                self.assertIsNone(process.poll(), "the run ended before it could be killed")
                process.send_signal(signal.SIGKILL)
            kills += 1
        self.assertLess(rows, whole.count("\n"))
        self.run_small("killed.sqlite")
        self.assertEqual(self.export("killed.sqlite"), whole)
        self.assertEqual(self.export("killed.sqlite", "--runs"), self.export("undisturbed.sqlite", "--runs"))

    def test_sigterm_stops_cleanly_and_says_so(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            arguments = [program, "run", *small, "--data", "synthetic", "--results", str(self.path / f"{number}.sqlite"),
                         "--epochs", "100000"]
            with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
                while "runs," not in process.stderr.readline():
                    pass
                time.sleep(0.2)
                process.send_signal(number)
                said = process.stderr.read()
                self.assertEqual(process.wait(timeout=20), 128 + number)
            self.assertIn("stopped", said)
            self.assertEqual(self.export(f"{number}.sqlite").count("\n"), 1)  # no task was finished

    def test_the_end_of_the_hours_is_told_from_the_end_of_the_work(self):
        arguments = ["run", *small, "--data", "synthetic", "--results", str(self.path / "a.sqlite")]
        late = paper(*arguments, "--max-hours", "1e-9", check=False)
        self.assertEqual(late.returncode, 75)
        self.assertIn("stopped; what was finished is kept", late.stderr)
        done = paper(*arguments, "--max-hours", "1")
        self.assertNotIn("stopped", done.stderr)
        self.assertEqual(paper(*arguments, "--max-hours", "1e-9").returncode, 0)  # nothing is left to do
        said = " ".join(paper("run", "--help").stdout.split())
        self.assertIn("0 when all is trained, 75 when --max-hours ended it before", said)

    def test_no_resume_trains_anew_and_gives_the_same(self):
        self.run_small("a.sqlite")
        before = self.export("a.sqlite")
        self.assertIn("14 runs, 0 of them done before", self.run_small("a.sqlite", "--no-resume").stderr)
        self.assertEqual(self.export("a.sqlite"), before)

    def test_export_has_the_promised_columns(self):
        self.run_small("a.sqlite", tasks=1)
        lines = self.export("a.sqlite").splitlines()
        self.assertEqual(lines[0], "run,problem,network,activation,regularizer,strength,seed,task,step,metric,value")
        # 7 conditions, 2 seeds; 20 metrics, and the online error of 10 epochs and of 20 stretches of the 80
        self.assertEqual(len(lines), 1 + 7 * 2 * (20 + 10 + 18))
        self.assertTrue(all(line.count(",") == 10 for line in lines))
        self.assertIn("random_label_mnist,mlp-32-32-32,leaky_relu,wasserstein,0.005,1,0,", "\n".join(lines))
        self.assertEqual(len(self.export("a.sqlite", "--runs").splitlines()), 1 + 14)

    def test_check_status_and_plot_of_a_real_run(self):
        self.run_small("a.sqlite")
        common = [*small, "--results", str(self.path / "a.sqlite")]
        claims = paper("check", *common, "--verbose").stdout
        verdicts = ("LOST", "PRESERVED", "HOLDS", "FAILS", "INCONCLUSIVE")
        lines = [line for line in claims.splitlines() if line.startswith(verdicts)]
        self.assertEqual(len(lines), 11 + 10)
        self.assertTrue(all('paper: "' in line for line in lines))
        self.assertIn("2 of 2 runs,    24 of 24 tasks", paper("status", *common).stdout)
        everything = paper("status", "--seeds", "2", "--tasks", "12", "--problem", "random_label_mnist",
                           "--results", str(self.path / "a.sqlite")).stdout
        self.assertEqual([line.split()[2] for line in everything.splitlines() if line.startswith("profile smoke")],
                         [f"fig{n}," for n in (1, 2, 4, 5, 6, 9, 13, 14, 15, 16, 17, 21, 22, 23)])
        plotted = paper("plot", *common, "--output", str(self.path / "pictures"), check=False)
        if plotted.returncode != 0:
            self.assertIn("python3-matplotlib", plotted.stderr)  # the one reason there may be
            return
        for name in ("fig1-smoke", "fig6-smoke"):
            self.assertEqual((self.path / "pictures" / f"{name}.png").read_bytes()[:4], b"\x89PNG")
            self.assertIn("<svg", (self.path / "pictures" / f"{name}.svg").read_text())
        self.assertEqual(len(list((self.path / "pictures").iterdir())), 4)

    def test_all_figures_at_the_profile_smoke(self):
        common = ["all", "--profile", "smoke", "--seeds", "2", "--tasks", "6", "--results", str(self.path / "all.sqlite")]
        said = paper("run", *common, "--data", "synthetic").stderr
        torch = "needs the LibTorch learner" not in said
        left_out = [] if torch else [8, 19, 20]  # figures of convolutional networks alone
        if not torch:
            for words in ("fig8, random-label CIFAR-10: left out: resnet18 needs", "fig4, Continual ImageNet: left out: cnn needs",
                          "SAGITTA_WITH_LIBTORCH=ON"):
                self.assertIn(words, said)
        claims = paper("check", *common)
        for number in range(1, 24):
            judged = f"\nfig{number}, " in "\n" + claims.stdout
            self.assertEqual(judged, number not in left_out, f"fig{number}")
            self.assertEqual(f"fig{number}: no results yet" in claims.stderr, number in left_out)
        self.assertNotIn("unknown claim", claims.stdout)
        self.assertNotIn("no runs", claims.stdout.split("fig4, Continual")[0])
        again = paper("run", *common, "--data", "synthetic").stderr
        total = next(line for line in again.splitlines() if " runs, " in line)
        self.assertEqual(total.split()[0], total.split()[2])  # all of them done before
        plotted = paper("plot", *common, "--output", str(self.path / "pictures"), check=False)
        if plotted.returncode != 0:
            self.assertIn("python3-matplotlib", plotted.stderr)
            return
        pictures = sorted(path.name for path in (self.path / "pictures").glob("*.png"))
        self.assertEqual(pictures, sorted(f"fig{n}-smoke.png" for n in range(1, 24) if n not in left_out))

    def test_several_results_files_are_read_as_one(self):
        common = ["--profile", "smoke", "--problem", "random_label_mnist", "--seeds", "2", "--tasks", "6"]
        data = ["--data", "synthetic", "--results"]
        parts = [str(self.path / name) for name in ("a.sqlite", "b.sqlite")]
        # fig1 and fig6 share a condition, whose runs are in both files, longer in the second
        paper("run", "fig1", *common[:-1], "5", *data, parts[0])
        paper("run", "fig6", *common, *data, parts[1])
        paper("run", "fig1", *common, *data, parts[0])
        whole = str(self.path / "whole.sqlite")
        paper("run", "fig1", "fig6", *common, *data, whole)
        for command in (["check", "fig1", "fig6", *common], ["status", "fig1", "fig6", *common], ["export"], ["export", "--runs"]):
            one = paper(*command, "--results", whole).stdout
            self.assertEqual(paper(*command, "--results", *parts).stdout, one)
            self.assertNotEqual(paper(*command, "--results", parts[1], check=False).stdout, one)

    def test_data_that_are_missing_are_named_with_what_gets_them(self):
        mnist = self.path / "mnist"
        mnist.mkdir()

        def said(*arguments):
            done = paper("run", *arguments, "--dry-run", check=False, cwd=self.path, env={**os.environ, "SAGITTA_DATA": str(self.path)})
            return done.returncode, done.stderr

        # a fully connected network, so that the test needs no LibTorch
        for problem, words in (("random_label_cifar", ["data_batch_1.bin", str(self.path), "fetch_data.py cifar10", "--data synthetic"]),
                               ("continual_imagenet", ["classes/<number>.npy", str(self.path), "--data synthetic"]),
                               ("random_label_mnist", ["no MNIST training files", "fetch_data.py mnist"])):
            status, text = said("fig6", "--problem", problem, "--architecture", "mlp")
            self.assertEqual(status, 1)
            for word in words:
                self.assertIn(word, text)

    def test_stand_ins_and_smaller_data_are_said(self):
        common = ["fig6", "--profile", "smoke", "--architecture", "mlp", "--width", "8", "--depth", "1", "--tasks", "55", "--seeds", "1",
                  "--epochs", "1", "--images", "5000", "--batch", "5000", "--dry-run", "--data", "synthetic"]
        said = paper("run", *common, "--problem", "random_label_cifar", cwd=self.path).stderr
        self.assertIn("NOT the paper's data but built-in synthetic colour textures", said)
        self.assertIn("5000 images a task are asked for, synthetic_textures has 4000", said)
        said = paper("run", *common, "--problem", "continual_imagenet", cwd=self.path).stderr
        self.assertIn("100 classes give 50 disjoint pairs for 55 tasks; then the pairs are drawn anew", said)

    def test_errors_are_one_line_that_names_the_matter(self):
        def error(*arguments):
            done = paper(*arguments, check=False, cwd=self.path, env={**os.environ, "SAGITTA_DATA": ""})
            self.assertNotEqual(done.returncode, 0)
            return done.stderr

        self.assertIn("there is no figure", error("run", "fig0", "--data", "synthetic"))
        self.assertIn("profile", error("run", "fig1", "--profile", "x", "--data", "synthetic"))
        self.assertIn("epochs", error("run", "fig1", "--epochs", "-2", "--data", "synthetic"))
        self.assertIn("/nowhere", error("run", "fig1", "--data", "/nowhere"))
        self.assertIn("absent.sqlite", error("check", "fig1", "--results", "absent.sqlite"))
        self.run_small("a.sqlite", tasks=1)
        self.assertIn("no results yet", error("check", "fig1", "--profile", "demo", "--results", "a.sqlite"))
        self.assertEqual(list(self.path.glob("results.sqlite")), [])

    def test_list_and_dry_run(self):
        self.assertIn("fig4", paper("list").stdout)
        planned = paper("run", "fig1", "fig4", "--problem", "random_label_mnist", "--dry-run", "--data", "synthetic",
                        cwd=self.path).stdout
        self.assertIn("20 runs, 800 tasks", planned)
        self.assertEqual(list(self.path.iterdir()), [])


unittest.main(argv=sys.argv[:1])

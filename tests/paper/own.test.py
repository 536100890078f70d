"""Experiments of one's own, files of values, and what the commands say: own.test.py PROGRAM"""
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

program = os.path.abspath(sys.argv[1])


def paper(*arguments, check=True, **options):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{arguments}: status {done.returncode}\n{done.stderr}")
    return done


def write_npy(path, shape, values):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(10 + len(header) + 1) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(values))


experiment = {
    "title": "A test",
    "problems": [{"problem": "random_label_own", "tasks": 6, "seeds": 2, "strengths": [0.01],
                  "configuration": {"images": 40, "width": 8, "depth": 2, "batch": 20, "epochs": 3},
                  "sweeps": {"width": {"values": [4, 8]}}}],
    "conditions": [{"activation": "relu"}, {"activation": "gelu", "regularizer": "l2"},
                   {"activation": "tanh", "sweep": "width"}],
    "panels": [{"metric": "error"}, {"metric": "dormancy", "factor": -1, "conditions": [{"activation": "relu"}]}],
    "claims": [{"claim": "plasticity", "condition": {"activation": "relu"}, "expected": "LOST"},
               {"claim": "trend", "condition": {"activation": "gelu", "regularizer": "l2"}, "metric": "weight_l1", "sign": 1},
               {"claim": "plasticity", "condition": {"activation": "tanh", "sweep": "width", "value": "largest"},
                "expected": "LOST"}]}


class Own(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(folder.name)
        self.addCleanup(folder.cleanup)
        classes = self.path / "pictures/classes"
        classes.mkdir(parents=True)
        random.seed(1)
        for label, count in enumerate((20, 30, 25)):  # as many as there are of each
            write_npy(classes / f"{label}.npy", (count, 6, 4), random.randbytes(count * 24))

    def write(self, document, name="my.json"):
        file = self.path / name
        file.write_text(json.dumps(document, indent=1) if not isinstance(document, str) else document)
        return file

    def test_an_experiment_on_own_images_is_run_judged_and_drawn(self):
        file, results = self.write(experiment), self.path / "a.sqlite"
        self.assertIn("ReLU, GELU + L2, tanh over width", paper("list", file).stdout)
        said = paper("run", file, "--data", self.path / "pictures", "--results", results).stderr
        self.assertIn("data: own images in", said)
        self.assertIn("8 runs, 0 of them done before", said)  # 2 seeds of 2 conditions and of 2 widths
        self.assertIn("48 of 48 tasks", said)
        rows = paper("export", "--results", results).stdout
        self.assertIn("random_label_own,mlp-8-8,gelu,l2,0.01,1,", rows)
        self.assertEqual(rows.count(",error,"), 48)
        checked = paper("check", file, "--results", results).stdout.splitlines()
        self.assertTrue(all(len(line) <= 80 for line in checked[1:]), checked)
        self.assertEqual(sum(line[:1].isupper() for line in checked), 3)
        self.assertIn('paper: "', paper("check", file, "--results", results, "--verbose").stdout)
        self.assertIn("12 of 12 tasks", paper("status", file, "--results", results).stdout)
        watched = paper("watch", results).stdout
        self.assertIn("GELU + L2, strength 0.01\n  2 runs, 12 tasks\n  error     ", watched)
        plotted = paper("plot", file, "--results", results, "--output", self.path, check=False)
        if plotted.returncode != 0:
            self.assertIn("python3-matplotlib", plotted.stderr)  # the one reason there may be
        else:
            self.assertEqual((self.path / "my.png").read_bytes()[:4], b"\x89PNG")

    def test_mistakes_are_told_with_their_line(self):
        text = json.dumps(experiment, indent=1)

        def error(before, after, *words):
            self.assertEqual(text.count(before) > 0, True, before)
            changed = text.replace(before, after, 1)
            line = text[:text.index(before)].count("\n") + 1
            said = paper("run", self.write(changed), "--data", "synthetic", check=False)
            self.assertEqual(said.returncode, 1)
            self.assertIn(f"my.json:{line}: ", said.stderr)
            for word in words:
                self.assertIn(word, said.stderr)

        error('"relu"', '"relru"', "conditions[0].activation", 'no activation "relru", expected one of relu')
        error('"epochs": 3', '"epochs": -3', "configuration.epochs", "expected a whole number of at least 1")
        error('"epochs": 3', '"epoch": 3', 'there is no field "epoch"')
        error('"epochs": 3', '"seed": 3', "is varied by the experiment")
        error('"tasks": 6', '"tasks": 0', "is 0, expected a whole number of at least 1")
        error('"tasks": 6', '"task": 6', "is not known here, expected one of problem, title, tasks")
        error('"random_label_own"', '"x"', 'there is no problem "x"')
        error('"metric": "error"', '"metric": "eror"', "panels[0].metric", 'no metric "eror"')
        error('"expected": "LOST"', '"expected": "WON"', "claims[0].expected", "expected LOST or PRESERVED")
        error('"sign": 1', '"sign": 2', "claims[1].sign", "expected 1 or -1")
        error('"title": "A test"', '"title": "A test",,', "not JSON")
        broken = json.loads(text)
        del broken["claims"][1]["metric"]
        said = paper("list", self.write(broken), check=False).stderr
        self.assertIn("claims[1]: \"metric\" is missing: trend", said)
        broken = json.loads(text)
        broken["claims"][0]["condition"]["activation"] = "identity"
        self.assertIn("is none of the conditions", paper("list", self.write(broken), check=False).stderr)
        broken = json.loads(text)
        del broken["problems"][0]["sweeps"]
        self.assertIn("has no values for the sweep width", paper("list", self.write(broken), check=False).stderr)
        self.assertIn("cannot be read", paper("list", self.path / "absent.json", check=False).stderr)

    def test_a_figure_shown_gives_the_same_runs(self):
        for profile in ("smoke", "demo"):
            for number in (1, 2, 3, 4, 7, 8, 9, 13, 17, 20, 21, 23):
                shown = paper("show", f"fig{number}", "--profile", profile).stdout
                file = self.write(shown, f"shown{number}.json")
                # planned by either, what a file of results has is the same: all that status says
                self.assertEqual(paper("show", file).stdout, shown)
        small = ["--tasks", "5", "--seeds", "1", "--problem", "random_label_mnist"]
        for number in (1, 7):
            results = self.path / f"{number}.sqlite"
            file = self.write(paper("show", f"fig{number}", "--profile", "smoke").stdout, "shown.json")
            paper("run", file, *small, "--epochs", "1", "--data", "synthetic", "--results", results)
            again = paper("run", f"fig{number}", "--profile", "smoke", *small, "--epochs", "1", "--data", "synthetic",
                          "--results", results).stderr
            total = next(line for line in again.splitlines() if " runs, " in line).split()
            self.assertEqual(total[0], total[2])  # all of them done before
            self.assertEqual(paper("check", file, *small, "--epochs", "1", "--results", results).stdout,
                             paper("check", f"fig{number}", "--profile", "smoke", *small, "--epochs", "1", "--results",
                                   results).stdout)

    def test_published_values_are_read_as_results_and_not_trained_again(self):
        shape = ["--tasks", "6", "--seeds", "2", "--epochs", "2"]
        common = ["fig1", "--profile", "smoke", *shape]
        results = self.path / "a.sqlite"
        paper("run", *common, "--data", "synthetic", "--results", results)
        values = self.path / "values"
        made = paper("publish", *common, "--results", results, "--output", values).stdout.split()
        self.assertEqual(made, [str(values / "smoke-random_label_mnist.json.gz")])
        before = pathlib.Path(made[0]).read_bytes()
        for command in (["export"], ["export", "--runs"], ["check", *common], ["status", *common]):
            self.assertEqual(paper(*command, "--results", made[0]).stdout, paper(*command, "--results", results).stdout)
        runs = paper("export", "--runs", "--results", made[0]).stdout.splitlines()
        for column in ("version", "commit", "numerics", "compiler", "flags", "processor", "eigen", "date"):
            self.assertIn(f",{column}", runs[0])
        again = paper("run", *common, "--data", "synthetic", "--values", values, "--results", self.path / "b.sqlite").stderr
        self.assertIn("8 of 8 runs are in files of values", again)
        self.assertIn("0 runs, 0 of them done before", again)
        longer = paper("run", "fig1", "--profile", "smoke", "--tasks", "7", *shape[2:], "--data", "synthetic", "--values",
                       values, "--dry-run").stdout
        self.assertIn("8 runs, 56 tasks", longer)
        # the same again are the same bytes; more seeds join them
        paper("publish", *common, "--results", results, "--output", values)
        self.assertEqual(pathlib.Path(made[0]).read_bytes(), before)
        # values beside the results are checked without naming a profile
        self.assertIn("fig1, ", paper("check", "fig1", *shape, "--values", values, cwd=self.path).stdout)
        # other numerics are told apart
        lines = gzip.decompress(before).decode().replace('["numerics","1"]', '["numerics","0"]')
        (self.path / "old.json.gz").write_bytes(gzip.compress(lines.encode()))
        self.assertIn("8 runs, 48 tasks", paper("run", *common, "--data", "synthetic", "--values", self.path / "old.json.gz",
                                                "--dry-run").stdout)
        one = paper("publish", "fig1", "--profile", "smoke", "--tasks", "6", "--seeds", "1", "--epochs", "2", "--results",
                    results, "--output", self.path / "one").stdout.split()
        mixed = paper("check", *common, "--results", one[0], "--values", self.path / "old.json.gz").stdout
        self.assertIn("values of numerics 0 and 1 are mixed", mixed)

    def test_damaged_values_are_told(self):
        results = self.path / "a.sqlite"
        common = ["fig1", "--profile", "smoke", "--tasks", "1", "--seeds", "1", "--epochs", "1"]
        paper("run", *common, "--data", "synthetic", "--results", results)
        file = pathlib.Path(paper("publish", *common, "--results", results, "--output", self.path).stdout.strip())
        whole = file.read_bytes()
        lines = gzip.decompress(whole).splitlines(keepends=True)

        def error(content):
            file.write_bytes(content)
            done = paper("export", "--results", file, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(str(file), done.stderr)
            return done.stderr

        self.assertIn("cut short", error(whole[:-20]))
        self.assertIn("3 of 4 runs", error(gzip.compress(b"".join(lines[:-1]))))
        self.assertIn("version 7", error(gzip.compress(b"".join(lines).replace(b'"version":1', b'"version":7', 1))))
        error(gzip.compress(b"hello"))
        error(gzip.compress(lines[0] + b"{}\n"))
        done = paper("run", *common, "--data", "synthetic", "--results", file, "--values", self.path / "a.sqlite", "--no-resume",
                     check=False)
        self.assertIn("holds values alone", done.stderr)

    def test_a_profile_need_not_be_named_where_there_is_one(self):
        shape = ["--tasks", "5", "--seeds", "1", "--epochs", "1", "--problem", "random_label_mnist"]
        results = self.path / "a.sqlite"
        run = ["run", "fig1", *shape, "--data", "synthetic", "--results", results, "--profile"]
        paper(*run, "smoke")
        self.assertIn("fig1, random-label MNIST", paper("check", "fig1", *shape, "--results", results).stdout)
        paper(*run, "demo")
        said = paper("check", "fig1", *shape, "--results", results, check=False)
        self.assertIn("several profiles; --profile is one of smoke, demo", said.stderr)

    def test_list_names_every_panel(self):
        lines = [line for line in paper("list").stdout.splitlines() if line.startswith("    panels")]
        self.assertEqual(len(lines), 23)
        for line in lines:
            self.assertNotIn("()", line)
            self.assertNotIn("; ;", line)


unittest.main(argv=sys.argv[:1])

"""sagitta-paper on bad days: broken data, foreign files, full disks, stops. bad_days.test.py PROGRAM

What single readers and writers do is in dataset.test.cpp and results_files.test.cpp; this is the program as a whole.
"""
import gzip
import os
import pathlib
import resource
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import unittest

program = os.path.abspath(sys.argv[1])
nobody = 65534
# 8 runs of some 0.1 s
small = ["fig1", "--profile", "smoke", "--problem", "random_label_mnist", "--seeds", "2"]


def idx(dims, content):
    return bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims) + content


images, labels = idx([4, 28, 28], bytes(4 * 28 * 28)), idx([4], bytes([3, 1, 4, 1]))
packed = gzip.compress(images)


class BadDays(unittest.TestCase):
    whole = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.results = self.path / "results.sqlite"

    def call(self, *arguments, **options):
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=self.path,
                              env={**os.environ, "SAGITTA_DATA": ""}, timeout=300, **options)

    def run_small(self, results, *more, tasks=12, **options):
        return self.call("run", *small, "--tasks", tasks, "--data", "synthetic", "--results", results, *more, **options)

    def export(self, results, **options):
        done = self.call("export", "--results", results, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def assert_refused(self, done, *words):
        """An error, not a signal; one line that says which file it is."""
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("sagitta-paper: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(str(word), lines[0])

    def undisturbed(self):
        """what every disturbed run has to end with"""
        if BadDays.whole is None:
            with tempfile.TemporaryDirectory() as folder:
                results = pathlib.Path(folder) / "results.sqlite"
                self.assertEqual(self.run_small(results).returncode, 0)
                BadDays.whole = self.export(results)
        return BadDays.whole

    def assert_whole_tasks(self, csv):
        metrics = (self.undisturbed().count("\n") - 1) // (8 * 12)
        self.assertEqual((csv.count("\n") - 1) % metrics, 0)

    def start(self, *more):
        """A run in the background that has begun."""
        process = subprocess.Popen([program, "run", *small, "--tasks", "12", "--data", "synthetic", "--results", self.results, *more],
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        while " runs, " not in process.stderr.readline():
            self.assertIsNone(process.poll())
        return process

    def wait_for_a_task(self, process):
        while self.export(self.results).count("\n") < 2:
            self.assertIsNone(process.poll(), "ended before it was disturbed")
            time.sleep(0.02)

    def test_broken_data_is_named_before_anything_is_written(self):
        image_name, label_name = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
        lying_size = packed[:-4] + struct.pack("<I", 12)
        cases = {
            "truncated": (image_name, images[:-1], "holds 3135 bytes after its header, expected 3136"),
            "empty": (image_name, b"", "is empty"),
            "wrong magic": (image_name, b"\x89PNG" + images[4:], "begins with 0x89 0x50"),
            "oversized count": (image_name, idx([0xffffffff, 28, 28], bytes(99)), "expected at most"),
            "count above content": (image_name, idx([5, 28, 28], images[16:]), "expected 3920"),
            "cut gzip": (image_name + ".gz", packed[:-9], "ends inside its gzip stream"),
            "gzip that lies about its size": (image_name + ".gz", lying_size, "incorrect length check"),
            "label out of range": (label_name, idx([4], bytes([3, 1, 10, 1])), "label 2 is 10, expected 0 to 9"),
            "more labels": (label_name, idx([5], bytes(5)), "expected 5"),
        }
        for what, (name, content, message) in cases.items():
            with self.subTest(what):
                folder = self.path / what
                folder.mkdir()
                (folder / image_name).write_bytes(images)
                (folder / label_name).write_bytes(labels)
                (folder / name.removesuffix(".gz")).unlink()
                (folder / name).write_bytes(content)
                done = self.call("run", "fig1", "--profile", "smoke", "--data", folder)
                named = folder / (image_name if what == "more labels" else name)
                self.assert_refused(done, named, message)
                self.assertFalse(self.results.exists())

    def test_foreign_result_files_are_refused_and_left_alone(self):
        self.assertEqual(self.run_small(self.results, tasks=1).returncode, 0)
        csv = self.export(self.results)

        def sql(text):
            database = sqlite3.connect(self.results)
            database.executescript(text)
            database.close()

        whole = self.results.read_bytes()
        cases = {
            "its own CSV": (lambda: self.results.write_text(csv), "not a database"),
            "a later version": (lambda: sql("PRAGMA user_version = 3"), "results of version 3, expected version 2"),
            "an earlier version": (lambda: sql("PRAGMA user_version = 1"), "results of version 1, expected version 2"),
            "another program's": (lambda: sql("PRAGMA application_id = 7"), "application_id is 7"),
            "cut off": (lambda: self.results.write_bytes(whole[:len(whole) // 2]), "malformed"),
            "empty": (lambda: self.results.write_bytes(b""), "not a file of results"),
        }
        for what, (spoil, message) in cases.items():
            self.results.write_bytes(whole)
            spoil()
            spoiled = self.results.read_bytes()
            for command in ("run", "status", "check", "plot", "export"):
                if what == "empty" and command == "run":
                    continue  # takes it as a new one
                with self.subTest(what, command=command):
                    figures = [] if command == "export" else small
                    data = ["--data", "synthetic"] if command == "run" else []
                    done = self.call(command, *figures, *data, "--results", self.results)
                    self.assert_refused(done, self.results, message)
                    self.assertEqual(self.results.read_bytes(), spoiled)
                    self.assertEqual(sorted(file.name for file in self.path.iterdir()), ["results.sqlite"])

    def test_a_spoiled_checkpoint_is_an_error_of_its_run(self):
        self.assertEqual(self.run_small(self.results, tasks=1).returncode, 0)
        database = sqlite3.connect(self.results)
        with database:
            database.execute("UPDATE checkpoint SET state = x'00'")
        database.close()
        self.assert_refused(self.run_small(self.results), self.results, "cannot be continued", "checkpoint is too short")

    def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(self):
        whole = self.undisturbed()

        def limit(size):  # the nearest to a full disk that needs no rights: a file cannot grow beyond it
            return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        self.assert_refused(self.run_small(self.results, preexec_fn=limit(0)), self.results)
        self.assert_refused(self.run_small(self.results, preexec_fn=limit(1000000)), self.results, "cannot write task")
        stopped = self.export(self.results)
        self.assertEqual(stopped, self.export(self.results, preexec_fn=limit(0)))  # and can be read while it is full
        self.assertLess(1, stopped.count("\n"))
        self.assertLess(stopped.count("\n"), whole.count("\n"))
        self.assertTrue(set(stopped.splitlines()) <= set(whole.splitlines()))
        self.assert_whole_tasks(stopped)
        self.assertEqual(self.run_small(self.results).returncode, 0)
        self.assertEqual(self.export(self.results), whole)

    def test_pictures_that_cannot_be_written(self):
        self.assertEqual(self.run_small(self.results).returncode, 0)
        (self.path / "file").touch()
        common = ["plot", *small, "--tasks", "12", "--results", self.results, "--output"]
        self.assert_refused(self.call(*common, self.path / "file"), self.path / "file")
        done = self.call(*common, self.path / "pictures",
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
        self.assert_refused(done, self.path / "pictures" / "fig1-smoke")
        self.assertEqual(list((self.path / "pictures").glob("*.png")), [])

    def test_output_that_cannot_be_written(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        self.assertEqual(self.run_small(self.results, tasks=1).returncode, 0)
        figure = [*small, "--tasks", "1"]
        for command in (["list"], ["export", "--results", self.results], ["export", "--runs", "--results", self.results],
                        ["status", *figure, "--results", self.results], ["check", *figure, "--results", self.results]):
            with self.subTest(command[0]), open("/dev/full", "w") as full:
                done = subprocess.run([program, *map(str, command)], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assert_refused(done, "cannot write to")

    def test_a_folder_without_permission(self):
        self.assertEqual(self.run_small(self.results, tasks=1).returncode, 0)
        before = self.export(self.results)
        self.path.chmod(0o555)
        self.addCleanup(self.path.chmod, 0o755)
        user = {"user": nobody} if os.getuid() == 0 else {}  # root is refused nothing
        try:
            self.call("list", **user)
        except PermissionError:
            self.skipTest("the program lies where other users may not go")
        new = self.path / "new.sqlite"
        self.assert_refused(self.run_small(new, **user), new, "Permission denied")
        self.assert_refused(self.run_small(self.results, **user), self.results, "Permission denied")
        self.assertEqual(self.export(self.results, **user), before)
        done = self.call("plot", *small, "--tasks", "1", "--results", self.results, "--output", self.path / "pictures", **user)
        self.assert_refused(done, self.path / "pictures", "Permission denied")

    def test_two_runs_on_one_file(self):
        whole = self.undisturbed()
        first = self.start("--epochs", "1000")
        done = self.run_small(self.results)
        self.assert_refused(done, self.results, f"another program (process {first.pid}) is writing it")
        first.send_signal(signal.SIGTERM)
        self.assertEqual(first.wait(timeout=60), 128 + signal.SIGTERM)
        self.assertEqual(self.run_small(self.results).returncode, 0)
        ours = [line for line in self.export(self.results).splitlines(True) if line in set(whole.splitlines(True))]
        self.assertEqual("".join(ours), whole)

    def test_a_stop_in_mid_task_keeps_whole_tasks_and_goes_on(self):
        whole = self.undisturbed()
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                self.results.unlink(missing_ok=True)
                process = self.start()
                self.wait_for_a_task(process)
                process.send_signal(number)
                said = process.stderr.read()
                self.assertEqual(process.wait(timeout=60), 128 + number)
                self.assertIn("the same command continues", said)
                self.assertIn(str(self.results), said)
                self.assertEqual([file.name for file in self.path.iterdir()], ["results.sqlite"])  # no lock, no log
                stopped = self.export(self.results)
                self.assertLess(stopped.count("\n"), whole.count("\n"))
                self.assert_whole_tasks(stopped)
                self.assertEqual(self.run_small(self.results).returncode, 0)
                self.assertEqual(self.export(self.results), whole)

    def test_an_interrupted_download_ends_the_program(self):
        python = self.path / "python3"  # stands for the download, and ends as interrupted ones do
        python.write_text("#!/bin/sh\nkill -INT $$\n")
        python.chmod(0o755)
        done = subprocess.run([program, "run", "fig1", "--profile", "smoke", "--results", self.results], capture_output=True,
                              text=True, cwd=self.path, timeout=60,
                              env={**os.environ, "SAGITTA_DATA": "", "PATH": f"{self.path}:{os.environ['PATH']}"})
        self.assert_refused(done, "sagitta-data was interrupted")
        self.assertFalse(self.results.exists())


unittest.main(argv=sys.argv[:1])

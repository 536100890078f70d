"""Tests of examples/paper/data/fetch_data.py against web servers on this machine. Standard library only.

Where the environment variable SAGITTA_SHARED names a folder with data/mnist, the real files are fetched too.
"""

import contextlib
import functools
import hashlib
import http.server
import importlib.util
import io
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "paper" / "data" / "fetch_data.py"
FIRST = "train-images-idx3-ubyte.gz"

sys.dont_write_bytecode = True  # no __pycache__ beside the script
specification = importlib.util.spec_from_file_location("fetch_data", SCRIPT)
fetch_data = importlib.util.module_from_spec(specification)
specification.loader.exec_module(fetch_data)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; notes what was asked for, and cuts short what the server has in `cut`."""

    def do_GET(self):
        self.server.asked.append(self.path.lstrip("/"))
        if self.path.lstrip("/") in self.server.cut:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"the beginning")
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


class FetchData(unittest.TestCase):
    def setUp(self):
        self.root = Path(self.enter(tempfile.TemporaryDirectory()))
        self.folder = self.root / "data"
        self.contents = {name: f"contents of {name}\n".encode() * 9000 for name in fetch_data.MNIST_FILES}
        # small stand-ins with their own sums; the table itself is put back
        self.addCleanup(setattr, fetch_data, "MNIST_FILES", fetch_data.MNIST_FILES)
        fetch_data.MNIST_FILES = {name: (len(data), hashlib.md5(data).hexdigest())
                                  for name, data in self.contents.items()}
        # a proxy of the environment would be asked for 127.0.0.1 as well
        proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
        self.addCleanup(os.environ.update, proxies)
        for key in proxies:
            del os.environ[key]

    def enter(self, context):  # TestCase.enterContext came with Python 3.11
        value = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return value

    def mirror(self, contents, cut=()):
        """A server of these files; its address and the list of what was asked of it."""
        root = Path(tempfile.mkdtemp(dir=self.root))
        for name, data in contents.items():
            (root / name).write_bytes(data)
        handler = functools.partial(Handler, directory=str(root))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.asked, server.cut = [], cut
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}/", server.asked

    def fetch(self, *mirrors):
        """Exit status, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        arguments = ["mnist", str(self.folder)] + [word for url in mirrors for word in ("--mirror", url)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = fetch_data.main(arguments)
        return status, out.getvalue(), err.getvalue()

    def files(self):
        return {path.name: path.read_bytes() for path in (self.folder / "mnist").iterdir()}

    def assert_refused(self, result, *words):
        status, _, err = result
        self.assertEqual(status, 1)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertTrue(err.startswith("fetch_data.py: "), err)
        for word in words:
            self.assertIn(word, err)

    def test_all_files_arrive(self):
        url, asked = self.mirror(self.contents)
        status, out, err = self.fetch(url)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(out.count("downloaded "), 4)
        self.assertEqual(self.files(), self.contents)
        self.assertEqual(asked, list(self.contents))

    def test_right_files_are_kept_and_wrong_ones_replaced(self):
        (self.folder / "mnist").mkdir(parents=True)
        for name, data in self.contents.items():
            (self.folder / "mnist" / name).write_bytes(data)
        (self.folder / "mnist" / FIRST).write_bytes(b"damaged")
        url, asked = self.mirror(self.contents)
        status, out, _ = self.fetch(url.rstrip("/"))  # with or without a slash at the end
        self.assertEqual(status, 0)
        self.assertEqual((out.count("kept "), out.count("downloaded ")), (3, 1))
        self.assertEqual(asked, [FIRST])
        self.assertEqual(self.files(), self.contents)

        status, out, _ = self.fetch("http://127.0.0.1:1/")  # nothing to ask for, so nobody is asked
        self.assertEqual((status, out.count("kept ")), (0, 4))

    def test_next_mirror_is_tried(self):
        wrong = dict(self.contents)
        wrong[FIRST] = b"x" * len(self.contents[FIRST])
        first, first_asked = self.mirror(wrong)
        second, second_asked = self.mirror(self.contents)
        status, _, err = self.fetch(first, second)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.files(), self.contents)
        self.assertEqual(first_asked, list(self.contents))
        self.assertEqual(second_asked, [FIRST])

    def test_wrong_file_is_not_left_behind(self):
        size = len(self.contents[FIRST])
        sum_of_x = hashlib.md5(b"x" * size).hexdigest()
        for data, word in [(b"x" * size, f"md5 is {sum_of_x}, expected {fetch_data.MNIST_FILES[FIRST][1]}"),
                           (b"", f"gave 0 bytes, expected {size}"),
                           (self.contents[FIRST][:-1], f"gave {size - 1} bytes, expected {size}"),
                           (self.contents[FIRST] + b"x", f"gave more than the expected {size} bytes")]:
            with self.subTest(word):
                url, asked = self.mirror({**self.contents, FIRST: data})
                self.assert_refused(self.fetch(url), f"no mirror gave {FIRST}", url, word)
                self.assertEqual(self.files(), {})
                self.assertEqual(asked, [FIRST])  # it gives up on the other files

    def test_failed_download_leaves_the_old_file(self):
        (self.folder / "mnist").mkdir(parents=True)
        (self.folder / "mnist" / FIRST).write_bytes(b"old")
        url, _ = self.mirror({})
        self.assert_refused(self.fetch(url), "404")
        self.assertEqual(self.files(), {FIRST: b"old"})

    def test_connection_lost_on_the_way(self):
        url, _ = self.mirror(self.contents, cut=[FIRST])
        self.assert_refused(self.fetch(url), FIRST)
        self.assertEqual(self.files(), {})

    def test_silent_server(self):
        self.addCleanup(setattr, fetch_data, "TIMEOUT", fetch_data.TIMEOUT)
        fetch_data.TIMEOUT = 0.2
        with socket.create_server(("127.0.0.1", 0)) as listener:  # takes the connection, never answers
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            self.assert_refused(self.fetch(url), "timed out")

    def test_mirrors_that_are_none(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            closed = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = self.fetch(closed, "no-such-scheme://x/", "not a url")
        # every mirror with its reason
        self.assert_refused(result, closed, "no-such-scheme://x/", "not a url")

    def test_folder_that_cannot_be_made(self):
        self.folder.write_text("a file where the folder should be")
        url, asked = self.mirror(self.contents)
        self.assert_refused(self.fetch(url), str(self.folder))
        self.assertEqual(asked, [])

    def archive(self, members, size=9):
        """An archive of these members as the one to be fetched; its bytes by name."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for name in members:
                info = tarfile.TarInfo(name)
                info.size = size
                tar.addfile(info, io.BytesIO(name[-9:].encode().rjust(size)))
        data = stream.getvalue()
        for name, value in {"CIFAR10_ARCHIVE": {"c.tar.gz": (len(data), hashlib.md5(data).hexdigest())},
                            "CIFAR10_MEMBER_BYTES": 9}.items():
            self.addCleanup(setattr, fetch_data, name, getattr(fetch_data, name))
            setattr(fetch_data, name, value)
        return {"c.tar.gz": data}

    def cifar10(self, *mirrors):
        arguments = ["cifar10", str(self.folder)]
        for mirror in mirrors:
            arguments += ["--mirror", mirror]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = fetch_data.main(arguments)
        return status, out.getvalue(), err.getvalue()

    def cifar10_files(self):
        return sorted(str(path.relative_to(self.folder / "cifar10"))
                      for path in (self.folder / "cifar10").rglob("*")) if self.folder.exists() else []

    def test_cifar10_is_unpacked_and_kept(self):
        names = fetch_data.CIFAR10_MEMBERS
        contents = self.archive(["cifar/" + name for name in names] + ["cifar/readme.html", "../evil.bin"])
        url, asked = self.mirror(contents)
        status, out, err = self.cifar10(url)
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.cifar10_files(), sorted(names))  # no archive, nothing else of it
        self.assertEqual((self.folder / "cifar10" / names[0]).read_bytes(), b"tch_1.bin")
        self.assertFalse((self.folder / "evil.bin").exists())
        self.assertEqual(self.cifar10(url)[1], f"kept {self.folder / 'cifar10'}\n")
        self.assertEqual(len(asked), 1)

    def test_cifar10_archives_that_lack_something_leave_no_batch(self):
        names = ["cifar/" + name for name in fetch_data.CIFAR10_MEMBERS]
        for members, size, word in ((names[:-1], 9, "test_batch.bin"), (names, 8, "of 9 bytes")):
            url, _ = self.mirror(self.archive(members, size))
            status, _, err = self.cifar10(url)
            self.assertEqual(status, 1)
            self.assertIn(word, err)
            self.assertEqual([name for name in self.cifar10_files() if name.endswith(".bin")], [])

    def test_cifar10_does_not_overwrite_other_batches(self):
        (self.folder / "cifar10").mkdir(parents=True)
        (self.folder / "cifar10" / "data_batch_1.bin").write_bytes(b"short")
        url, asked = self.mirror(self.archive(fetch_data.CIFAR10_MEMBERS))
        status, _, err = self.cifar10(url)
        self.assertEqual((status, asked), (1, []))
        self.assertIn("has other files of these names", err)
        self.assertEqual((self.folder / "cifar10" / "data_batch_1.bin").read_bytes(), b"short")

    def run_script(self, *arguments):
        return subprocess.run([sys.executable, str(SCRIPT), *arguments],
                              capture_output=True, text=True, timeout=120)

    def test_program_with_the_wrong_file(self):
        url, _ = self.mirror(self.contents)  # not the real files: the built-in sums refuse them
        result = self.run_script("mnist", str(self.folder), "--mirror", url)
        self.assert_refused((result.returncode, result.stdout, result.stderr), FIRST, url)
        self.assertEqual(self.files(), {})

    def test_command_line(self):
        self.assertEqual(self.run_script("--help").returncode, 0)
        self.assertIn("--mirror URL", self.run_script("--help").stdout)
        self.assertEqual(self.run_script("mnist").returncode, 2)
        self.assertEqual(self.run_script("no-such-data", str(self.folder)).returncode, 2)

    def test_real_files(self):
        real = Path(os.environ.get("SAGITTA_SHARED", "")) / "data" / "mnist"
        if not all((real / name).is_file() for name in self.contents):
            self.skipTest("SAGITTA_SHARED names no folder with data/mnist")
        contents = {name: (real / name).read_bytes() for name in self.contents}
        url, _ = self.mirror(contents)
        result = self.run_script("mnist", str(self.folder), "--mirror", url)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(self.files(), contents)


if __name__ == "__main__":
    unittest.main()

"""Feeds the readers of data files with bytes of libFuzzer's making: fuzz.test.py PROJECT EIGEN_INCLUDE [RUNS]

Builds the targets with Clang, wherever it is, and runs each for RUNS inputs (5000: some seconds). Skipped where there
is no Clang with libFuzzer. For longer hunts, RUNS = -1 never ends.
"""
import gzip
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

project, eigen = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
runs = sys.argv[3] if len(sys.argv) > 3 else "5000"
folder = project / "tests/fuzz"


def seeds(path):
    """Small files of the kinds that exist, so that the search need not find their magic first."""
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
    labels = bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + bytes(range(5))
    for name, content in {"images": images, "labels": labels, "empty": bytes([0, 0, 8, 1]) + bytes(4)}.items():
        (path / name).write_bytes(content)
        (path / (name + ".gz")).write_bytes(gzip.compress(content, mtime=0))
    for version, size in ((1, "<H"), (2, "<I")):
        header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n"
        (path / f"npy{version}").write_bytes(b"\x93NUMPY" + bytes([version, 0]) + struct.pack(size, len(header)) + header + bytes(6))


class Fuzz(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.compiler = shutil.which("clang++") or ""
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.path = pathlib.Path(cls.temporary.name)
        probe = cls.path / "probe.cpp"
        probe.write_text("#include <zlib.h>\n"
                         "extern \"C\" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n")
        if not cls.compiler or cls.compile(probe, "probe").returncode != 0:
            raise unittest.SkipTest("no clang++ with libFuzzer and zlib")
        (cls.path / "seeds").mkdir()
        seeds(cls.path / "seeds")

    @classmethod
    def compile(cls, source, name, *more):
        return subprocess.run([cls.compiler, "-std=c++20", "-g", "-O1", "-fsanitize=fuzzer,address,undefined",
                               "-fno-sanitize-recover=all", f"-I{project / 'examples/paper'}", "-isystem", eigen,
                               str(source), *map(str, more), "-lz", "-o", str(cls.path / name)], capture_output=True, text=True)

    def fuzz(self, name):
        built = self.compile(folder / f"{name}.fuzz.cpp", name, project / "examples/paper/data/idx.cpp",
                             project / "examples/paper/data/npy.cpp")
        self.assertEqual(built.returncode, 0, built.stderr)
        corpus = self.path / f"{name}-corpus"
        corpus.mkdir()
        # a literal seed: the same inputs every time
        done = subprocess.run([self.path / name, f"-runs={runs}", "-seed=1", "-max_len=4096", "-timeout=10", "-rss_limit_mb=2048",
                               f"-artifact_prefix={os.getcwd()}/{name}-", corpus, self.path / "seeds"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])

    def test_idx(self):
        self.fuzz("idx")

    def test_npy(self):
        self.fuzz("npy")

    def test_gzip(self):
        self.fuzz("gzip")


unittest.main(argv=sys.argv[:1])

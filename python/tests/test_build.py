"""The cache of the compiled adapter: what can go wrong with compilers, folders and several processes at once.

A stand-in for the compiler copies the module that is there, so that nothing is compiled here.
"""
import os
import pathlib
import signal
import stat
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip("torch")

from pysagitta.torch import _build  # noqa: E402


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache, and a compiler that counts its calls; (cache, environment, calls)."""
    ready, calls, compiler = _build.built(), tmp_path / "calls", tmp_path / "g++"
    compiler.write_text(f"""#!/bin/sh
case "$*" in *--version*) echo 'stand-in 1.0'; exit 0;; esac
echo $$ >>'{calls}'
sleep ${{STAND_IN_SLEEPS:-0}}
[ -z "$STAND_IN_FAILS" ] || {{ echo 'adapter.cpp:1: error: no such language'; exit 1; }}
while [ "$1" != -o ]; do shift; done
cp '{ready}' "$2"
""")
    compiler.chmod(0o755)
    cache = tmp_path / "cache"
    monkeypatch.setenv("PYSAGITTA_CACHE", str(cache))
    monkeypatch.setenv("CXX", str(compiler))
    return cache, dict(os.environ), calls


def start(environment, **more):
    def heed_interrupts():  # which a test that runs in the background has inherited as ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([sys.executable, "-m", "pysagitta.torch"], env={**environment, **more}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_interrupts)


def running(group):
    """The processes of a group that run; those that ended may wait for an init process to notice."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group and state not in "ZX":
            found.append(stat.parent.name)
    return found


def test_compiled_once_by_processes_at_once(place):
    cache, environment, calls = place
    processes = [start(environment, STAND_IN_SLEEPS="3") for _ in range(3)]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({out for out, _ in results}) == 1 and len(calls.read_text().split()) == 1
    assert sum("compiled in" in error for _, error in results) == 1
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".so"]
    out, error = start(environment).communicate(timeout=300)
    assert error == "" and len(calls.read_text().split()) == 1  # the next one finds it
    module = _build._load(pathlib.Path(out.strip()))
    assert hasattr(module, "measure")


def test_a_killed_compilation_leaves_nothing_that_counts(place):
    cache, environment, calls = place
    killed = start(environment, STAND_IN_SLEEPS="60")
    deadline = time.monotonic() + 200
    while not calls.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(int(calls.read_text().split()[0]))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    os.killpg(int(calls.read_text().split()[0]), signal.SIGKILL)  # its compiler goes on, in a folder that nobody reads
    assert not list(cache.glob("*.so")) and list(cache.glob("*.building-*"))
    _, error = start(environment).communicate(timeout=300)
    assert "compiled in" in error and len(list(cache.glob("*.so"))) == 1 and not list(cache.glob("*.building-*"))


def test_an_interrupt_ends_the_compiler_too(place):
    cache, environment, calls = place
    process = start(environment, STAND_IN_SLEEPS="60")
    deadline = time.monotonic() + 200
    while not calls.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in error and not list(cache.glob("*.so")) and not list(cache.glob("*.building-*"))
    assert running(int(calls.read_text().split()[0])) == []


def test_errors_say_what_to_do(place, monkeypatch, tmp_path):
    cache, _, _ = place
    monkeypatch.setenv("STAND_IN_FAILS", "1")
    with pytest.raises(ImportError, match="no such language") as error:
        _build.built()
    assert "GCC 12" in str(error.value) and len(list(cache.glob("*.log"))) == 1 and not list(cache.glob("*.so"))
    monkeypatch.delenv("STAND_IN_FAILS")
    monkeypatch.setenv("CXX", str(tmp_path / "none"))
    with pytest.raises(ImportError, match="none of CXX is not there.*apt-get install g"):
        _build.built()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ImportError, match="no C.. compiler is there.*python3-dev"):
        _build.built()
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    monkeypatch.setenv("PYSAGITTA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ImportError, match="PYSAGITTA_CACHE"):
        _build.built()


def test_a_cache_that_cannot_be_written_is_read(place, monkeypatch):
    cache, _, calls = place
    ready = _build.built()
    assert len(calls.read_text().split()) == 1
    (cache / ready.name).with_suffix(".lock").unlink()
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert _build.built() == ready and len(calls.read_text().split()) == 1
    monkeypatch.setenv("PATH", str(cache))  # and without a compiler
    monkeypatch.delenv("CXX")
    assert _build.built() == ready


def test_other_versions_are_other_modules(place, monkeypatch):
    first = _build.built()
    monkeypatch.setattr(torch, "__version__", "99.0")
    other_torch = _build.built()
    monkeypatch.setenv("PYSAGITTA_CXXFLAGS", "-O1")
    assert len({first, other_torch, _build.built()}) == 3

"""Compiles the adapter for the torch that is there, once, and loads it.

A module in the cache is named after what it was made of: our sources, Eigen, torch, Python, the flags and the processor,
then the compiler. It is compiled in a folder of its own under a lock and moved into place whole, so that several
processes may begin at once, and one that is killed leaves nothing that counts.
"""
import contextlib
import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import pathlib
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

import torch

_PACKAGE = pathlib.Path(__file__).absolute().parent.parent
_NAME = "_torch"


def cache_folder() -> pathlib.Path:
    """PYSAGITTA_CACHE, else pysagitta in XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("PYSAGITTA_CACHE")
    if own:
        return pathlib.Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache").absolute() / "pysagitta"


def _flags() -> "list[str]":
    own = os.environ.get("PYSAGITTA_CXXFLAGS")
    return ["-O2", "-march=native"] if own is None else shlex.split(own)


def _processor() -> str:
    """What -march=native depends on; homes are shared by machines of several kinds."""
    try:
        with open("/proc/cpuinfo") as info:
            lines = {line.partition(":")[0].strip(): line for line in info}
    except OSError:
        return platform.processor()
    return "".join(lines.get(key, "") for key in ("model name", "flags", "Features", "CPU part"))


def _sources() -> "list[pathlib.Path]":
    return [_PACKAGE / "src" / "torch.cpp", *sorted((_PACKAGE / "include" / "sagitta").rglob("*.hpp"))]


def _key() -> str:
    """Of all that the module depends on but the compiler."""
    sources = _sources()
    if not sources[0].exists() or len(sources) == 1:
        raise ImportError(f"pysagitta.torch: {sources[0]} or the headers beside it are missing; install pysagitta anew")
    digest = hashlib.sha256()
    for path in [*sources, _PACKAGE / "include" / "eigen" / "Eigen" / "src" / "Core" / "util" / "Macros.h"]:
        digest.update(path.read_bytes())
    flags = _flags()
    for part in (torch.__version__, torch.version.git_version, str(torch.version.cuda), sysconfig.get_config_var("SOABI"),
                 platform.machine(), *flags, _processor() if "-march=native" in flags else ""):
        digest.update(f"\0{part}".encode())
    return digest.hexdigest()[:16]


def _compiler() -> "list[str] | None":
    given = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    if shutil.which(given[0]):
        return given
    if "CXX" not in os.environ and shutil.which("c++"):
        return ["c++"]
    return None


def _compiler_version(compiler) -> str:
    try:
        return subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImportError(f"pysagitta.torch: the compiler {shlex.join(compiler)} does not run: {error}") from None


def _command(compiler, output) -> "list[str]":
    home = pathlib.Path(torch.__file__).parent
    includes = [home / "include", home / "include" / "torch" / "csrc" / "api" / "include",
                _PACKAGE / "include" / "eigen", sysconfig.get_path("include"), sysconfig.get_path("platinclude")]
    abi = int(torch.compiled_with_cxx11_abi())
    return [*compiler, "-std=c++20", "-DNDEBUG", *_flags(), "-fPIC", "-shared", "-w", "-fvisibility=hidden",
            f"-D_GLIBCXX_USE_CXX11_ABI={abi}", f"-DSAGITTA_MODULE={_NAME}", f"-I{_PACKAGE / 'include'}",
            *(f"-isystem{path}" for path in dict.fromkeys(map(str, includes))), str(_sources()[0]), "-o", str(output),
            f"-L{home / 'lib'}", f"-Wl,-rpath,{home / 'lib'}", "-ltorch_python", "-ltorch", "-ltorch_cpu", "-lc10"]


def _say(text, end="\n"):
    print(f"pysagitta.torch: {text}" if text else "", end=end, file=sys.stderr, flush=True)


def _run(command, log):
    """Runs the compiler in a group of processes of its own, which goes when we do."""
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            return process.wait()
        except BaseException:  # KeyboardInterrupt
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


@contextlib.contextmanager
def _locked(path):
    """One process at a time; file systems without locks let several compile, which is only slower."""
    with open(path, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process that compiles the adapter")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            pass
        yield


def _check_requirements(compiler):
    if compiler is None:
        given = os.environ.get("CXX")
        what = f"the compiler {given} of CXX is not there" if given else "no C++ compiler is there"
        raise ImportError(f"pysagitta.torch: {what}, and the adapter for torch {torch.__version__} has to be compiled once; "
                          "install GCC 12 or later or Clang 14 or later (on Debian: apt-get install g++ python3-dev)")
    header = pathlib.Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise ImportError(f"pysagitta.torch: {header} is missing, which compiling the adapter takes; install Python's "
                          "headers (on Debian: apt-get install python3-dev)")


def _compile(compiler, target):
    """Compiles `target`, unless another process did so meanwhile."""
    folder = target.parent
    with _locked(folder / f"{target.stem}.lock"):
        if target.exists():
            return
        for stale in folder.glob(f"{target.stem}.building-*"):  # we have the lock: their processes were killed
            shutil.rmtree(stale, ignore_errors=True)
        building = pathlib.Path(tempfile.mkdtemp(prefix=f"{target.stem}.building-", dir=folder))
        try:
            _say(f"compiling the adapter for torch {torch.__version__}, once (about a minute) ...")
            start = time.monotonic()
            command = _command(compiler, building / target.name)
            if _run(command, building / "log") != 0:
                text = (building / "log").read_text(errors="replace")
                lines = [line for line in text.splitlines() if "error" in line] or text.splitlines()[-10:]
                kept = folder / f"{target.stem}.log"
                kept.write_text(f"{shlex.join(command)}\n{text}")
                raise ImportError("pysagitta.torch: the adapter does not compile; it takes GCC 12 or later or Clang 14 or "
                                  "later, and torch 1.13 or later. All that the compiler said is in "
                                  f"{kept}. It begins\n" + "\n".join(lines[:10]))
            os.replace(building / target.name, target)
            _say(f"compiled in {time.monotonic() - start:.0f} s; kept in {target}")
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _load(path):
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(path))
    spec = importlib.util.spec_from_file_location(_NAME, str(path), loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def built() -> pathlib.Path:
    """The compiled adapter, which is made where it is not in the cache."""
    folder, key, compiler = cache_folder(), _key(), _compiler()
    if compiler is None:  # what was compiled before is as good
        ready = sorted(folder.glob(f"{key}-*.so"))
        if ready:
            return ready[-1]
    _check_requirements(compiler)
    version = hashlib.sha256(_compiler_version(compiler).encode()).hexdigest()[:8]
    target = folder / f"{key}-{version}.so"
    if not target.exists():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _compile(compiler, target)
        except OSError as error:
            raise ImportError(f"pysagitta.torch: cannot write to the cache {folder} ({error}), where the compiled adapter "
                              "is kept; set PYSAGITTA_CACHE to a folder that can be written to") from error
    return target


def load():
    """The adapter as a module."""
    return _load(built())

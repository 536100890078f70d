"""build_and_install.py PROJECT PLACE: an sdist, a wheel from it, and the wheel in empty environments.

PLACE/core has NumPy and the wheel, PLACE/torch what this interpreter has and the wheel. The build requirements are this
interpreter's, so that nothing is fetched. What was built from the same sources is not built again.
"""
import hashlib
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

project, place = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()


def run(*command, **options):
    subprocess.run([str(part) for part in command], check=True, **options)


def environment(folder, *wheels, packages):
    """An environment with wheels, and `packages` of this interpreter's by a path file; where they come from is read-only."""
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    site = pathlib.Path(subprocess.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True,
                                       capture_output=True, text=True).stdout.strip())
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", *wheels)
    ours = pathlib.Path(sysconfig.get_path("purelib"))
    if packages is None:
        (site / "ours.pth").write_text(f"{ours}\n")
        return python
    for package in packages:
        for found in ours.glob(f"{package}*"):
            (site / found.name).symlink_to(found)
    return python


def main():
    place.mkdir(parents=True, exist_ok=True)
    run(sys.executable, "-c", f"from scikit_build_core.build import build_sdist; build_sdist({str(place)!r})", cwd=project)
    sdist, = place.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
        digest = hashlib.sha256(b"".join(archive.extractfile(m).read() for m in archive if m.isfile()) +
                                sys.version.encode()).hexdigest()
    assert not [name for name in names if "__pycache__" in name or name.endswith(".so")], "the sdist has more than sources"
    mark = place / "built"
    if mark.exists() and mark.read_text() == digest:
        print("the wheel of these sources is there")
        return
    for old in [*place.glob("*.whl"), mark]:
        old.unlink(missing_ok=True)
    source = place / "source"
    shutil.rmtree(source, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(source)
    unpacked, = source.iterdir()
    run(sys.executable, "-c", f"from scikit_build_core.build import build_wheel; build_wheel({str(place)!r})", cwd=unpacked)
    wheel, = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in ("pysagitta/py.typed", "pysagitta/include/sagitta/libtorch.hpp", "pysagitta/include/eigen/Eigen/Core",
                   "pysagitta/src/torch.cpp"):
        assert needed in names, f"the wheel lacks {needed}"
    core = environment(place / "core", wheel, packages=["numpy"])
    run(core, "-c", "import pysagitta as sg; assert sg.effective_rank([[1.0, 0], [0, 0]]).rank == 1; print(sg.__version__)")
    without = subprocess.run([core, "-c", "import pysagitta.torch"], capture_output=True, text=True)
    assert "pip install torch" in without.stderr, without.stderr
    environment(place / "torch", wheel, packages=None)
    mark.write_text(digest)


main()

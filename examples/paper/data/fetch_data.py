#!/usr/bin/env python3
"""Downloads the data sets of the paper and checks them. Standard library only, Python 3.9 or later.

    fetch_data.py mnist|cifar10 FOLDER [--mirror URL]...

puts the four MNIST files into FOLDER/mnist, or the six batches of CIFAR-10's binary version into FOLDER/cifar10 (from
an archive of 170 MB, which is not kept). ImageNet may not be redistributed: its classes have to be made by those who
have it. A file that is there with the right sum is kept; any other is
replaced, and only by one whose sum is right. Exit status 0 when all files are there, 1 (and one line on
standard error that says why) when not, 2 when the command line is wrong. An interrupt leaves no half file and ends it
as interrupts end programs, so that what called it can stop too.
"""

import argparse
import hashlib
import http.client
import os
import shutil
import signal
import sys
import tarfile
import urllib.request
import uuid
from pathlib import Path

TIMEOUT = 15  # seconds without a byte
CHUNK = 1 << 16  # bytes

MNIST_MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
]
MNIST_FILES = {  # name: (bytes, md5)
    "train-images-idx3-ubyte.gz": (9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    "train-labels-idx1-ubyte.gz": (28881, "d53e105ee54ea40749a09fcbcd1e9432"),
    "t10k-images-idx3-ubyte.gz": (1648877, "9fb629c4189551a2d022fa330f9573f3"),
    "t10k-labels-idx1-ubyte.gz": (4542, "ec29112dd5afa0611ce80d1b7f02629c"),
}

CIFAR10_MIRRORS = ["https://www.cs.toronto.edu/~kriz/"]
CIFAR10_ARCHIVE = {"cifar-10-binary.tar.gz": (170052171, "c32a1d4ab5d03f1284b67883e8d87530")}
CIFAR10_MEMBERS = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
CIFAR10_MEMBER_BYTES = 30730000


class Unavailable(Exception):
    """A mirror does not give the file; the text says why."""


def new_md5():
    # The published sums are md5. They tell damage, not malice, and a FIPS build of Python has to be told so.
    return hashlib.md5(usedforsecurity=False)


def has_sum(path, md5):
    if not path.is_file():
        return False
    digest = new_md5()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == md5


def chunks(url):
    """The bytes behind url. Whatever goes wrong on the way is Unavailable, never taken for a full disk."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            while chunk := response.read(CHUNK):
                yield chunk
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError and timeouts are OSErrors
        raise Unavailable(str(error) or type(error).__name__) from error


def download(url, path, size, md5):
    """Fetches url into path, which changes only when the whole file is there and its sum is right."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # programs may fetch side by side
    digest, received = new_md5(), 0
    try:
        with open(partial, "xb") as file:
            for chunk in chunks(url):
                received += len(chunk)
                if received > size:  # a page that never ends must not fill the disk
                    raise Unavailable(f"gave more than the expected {size} bytes")
                digest.update(chunk)
                file.write(chunk)
        if received < size:
            raise Unavailable(f"gave {received} bytes, expected {size}")
        if digest.hexdigest() != md5:
            raise Unavailable(f"md5 is {digest.hexdigest()}, expected {md5}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def fetch(files, mirrors, folder):
    """Brings every file into folder; Unavailable at the first that no mirror gives."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, md5) in files.items():
        path = folder / name
        if has_sum(path, md5):
            print(f"kept {path}", flush=True)
            continue
        reasons = []
        for mirror in mirrors:
            url = mirror.rstrip("/") + "/" + name
            try:
                download(url, path, size, md5)
            except Unavailable as reason:
                reasons.append(f"{url}: {reason}")
                continue
            print(f"downloaded {path} from {url}", flush=True)
            break
        else:  # the next file would wait for the same dead mirrors
            raise Unavailable(f"no mirror gave {name}: " + "; ".join(reasons))


def unpack(archive, names, size, folder):
    """Puts the named files of an archive, whichever folder in it they lie in, into folder; all of them or none."""
    partial = folder / f".{uuid.uuid4().hex}.part"
    partial.mkdir()
    try:
        with tarfile.open(archive) as tar:
            members = {os.path.basename(member.name): member for member in tar.getmembers() if member.isfile()}
            for name in names:
                if name not in members or members[name].size != size:
                    raise Unavailable(f"{archive.name} has no {name} of {size} bytes")
                with tar.extractfile(members[name]) as source, open(partial / name, "xb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
        for name in names:
            os.replace(partial / name, folder / name)
    except tarfile.TarError as error:
        raise Unavailable(f"{archive.name}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def fetch_cifar10(mirrors, folder):
    """The batches, unless all of them are there at their full size."""
    if all((folder / name).is_file() and (folder / name).stat().st_size == CIFAR10_MEMBER_BYTES
           for name in CIFAR10_MEMBERS):
        print(f"kept {folder}", flush=True)
        return
    if (folder / CIFAR10_MEMBERS[0]).exists():  # shorter batches, say, that someone made on purpose
        raise Unavailable(f"{folder} has other files of these names; remove them first")
    fetch(CIFAR10_ARCHIVE, mirrors, folder)
    archive = folder / next(iter(CIFAR10_ARCHIVE))
    unpack(archive, CIFAR10_MEMBERS, CIFAR10_MEMBER_BYTES, folder)
    archive.unlink()
    print(f"unpacked {folder}", flush=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description="Download a data set of the paper into FOLDER/<its name> and check its sums.")
    parser.add_argument("dataset", choices=["mnist", "cifar10"])
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--mirror", metavar="URL", action="append",
                        help="take the files from URL/<file name> instead of the built-in mirrors; "
                             "may be given several times, tried in that order")
    options = parser.parse_args(arguments)
    try:
        folder = options.folder / options.dataset
        if options.dataset == "mnist":
            fetch(MNIST_FILES, options.mirror or MNIST_MIRRORS, folder)
        else:
            fetch_cifar10(options.mirror or CIFAR10_MIRRORS, folder)
    except (Unavailable, OSError) as error:
        failure = str(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    else:
        return 0
    print("fetch_data.py: " + " ".join(failure.split()), file=sys.stderr)  # a server's reason may span lines
    return 1


if __name__ == "__main__":
    sys.exit(main())

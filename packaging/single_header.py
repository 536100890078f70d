#!/usr/bin/env python3
"""Writes the core as one header: single_header.py [OUTPUT, default build/sagitta_single.hpp]

What include/sagitta/sagitta.hpp includes, in the order in which it is needed; headers of Eigen and of the standard library
once, at the top. For Compiler Explorer, and for those who copy a header: it needs Eigen 3.4 and C++20. A program
includes either this file or the headers, not both. The same sources give the same bytes.
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
include = root / "include"


def collect(name, seen, outside):
    """The text of header `name` after that of the headers that it includes; `outside` takes the others' names."""
    if name in seen:
        return ""
    seen.add(name)
    before, body, depth = [], [], 0
    for number, line in enumerate((include / name).read_text(encoding="utf-8").splitlines(), 1):
        depth += bool(re.match(r"\s*#\s*if", line)) - bool(re.match(r"\s*#\s*endif", line))
        found = re.match(r"\s*#\s*include\s*(.*)", line)
        if found:
            header = re.fullmatch(r"<([^>]+)>", found.group(1).split("//")[0].strip())
            if depth or not header:
                sys.exit(f"single_header.py: {name}:{number}: expected #include <...> outside of #if, got: {line.strip()}")
            if header.group(1).startswith("sagitta/"):
                before.append(collect(header.group(1), seen, outside))
            else:
                outside.add(header.group(1))
        elif not re.match(r"\s*#\s*pragma\s+once", line):
            body.append(line)
    text = "\n".join(body).strip("\n")
    return "".join(before) + (f"// {name}\n\n{text}\n\n" if text else "")


def main():
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "build/sagitta_single.hpp"
    version = re.search(r'SAGITTA_VERSION "(.*)"', (include / "sagitta/version.hpp").read_text(encoding="utf-8")).group(1)
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    outside = set()
    text = collect("sagitta/sagitta.hpp", set(), outside)
    lines = [f"// Sagitta {version}, the core in one header. Made by packaging/single_header.py: change include/sagitta instead.",
             "//", *(f"// {line}".rstrip() for line in licence.splitlines()), "#pragma once", "",
             *(f"#include <{header}>" for header in sorted(outside)), "", text.rstrip("\n")]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

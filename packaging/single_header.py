#!/usr/bin/env python3
"""Writes the core as one header: single_header.py [OUTPUT, default build/sagitta_single.hpp]

What include/sagitta/sagitta.hpp includes, in the order in which it is needed; headers of Eigen and of the standard library
once, in front of the first that needs one. For Compiler Explorer, and for those who copy a header: it needs Eigen 3.4 and
C++20. A program includes either this file or the headers, not both. The same sources give the same bytes.
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
include = root / "include"


def collect(name, headers):
    """Adds to `headers` {name: (text, [what it includes from outside])} those that `name` includes, then itself."""
    if name in headers:
        return
    body, outside, depth = [], [], 0
    for number, line in enumerate((include / name).read_text(encoding="utf-8").splitlines(), 1):
        depth += bool(re.match(r"\s*#\s*if", line)) - bool(re.match(r"\s*#\s*endif", line))
        found = re.match(r"\s*#\s*include\s*([^\s/]\S*)", line)
        if found:
            header = found.group(1).strip("<>")
            ours = header.startswith("sagitta/")
            if depth and (re.fullmatch(r"[a-z_]+", header) or ours and not (include / header).exists()):
                body.append(line)  # of the standard library, under a condition; or one that stops the compiler
            elif depth or found.group(1) != f"<{header}>":
                sys.exit(f"single_header.py: {name}:{number}: expected #include <...> outside of #if, got: {line.strip()}")
            elif ours:
                collect(header, headers)
            else:
                outside.append(header)
        elif not re.match(r"\s*#\s*pragma\s+once", line):
            body.append(line)
    headers[name] = ("\n".join(body).strip("\n"), outside)


def main():
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else root / "build/sagitta_single.hpp"
    version = re.search(r'SAGITTA_VERSION "(.*)"', (include / "sagitta/version.hpp").read_text(encoding="utf-8")).group(1)
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    headers = {}
    collect("sagitta/sagitta.hpp", headers)
    parts = [f"// Sagitta {version}, the core in one header. Made by packaging/single_header.py: change include/sagitta instead.\n"
             "//\n" + "\n".join(f"// {line}".rstrip() for line in licence.splitlines()) + "\n#pragma once"]
    outside = sorted({header for _, names in headers.values() for header in names})
    for name, (text, needs) in headers.items():
        if needs and outside:
            parts.append("\n".join(f"#include <{header}>" for header in outside))
            outside = []
        parts.append(f"// {name}\n\n{text}".rstrip("\n"))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Brings docs/reproducing.md up to date: verdicts.py PROGRAM RESULTS DATA [--profile demo]

Replaces what stands between the markers <!-- fig1 --> ... <!-- end --> of each figure by what it costs, its picture and
the verdicts of RESULTS, and what stands between <!-- table --> ... <!-- end --> by the table of them all; the
text around the markers stays. PROGRAM is sagitta-paper, built with LibTorch; the costs are its own estimates, so
let it have the machine to itself. The pictures go to docs/images.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
FIGURES = [f"fig{i}" for i in range(1, 24)]
VERDICT = re.compile(r'([A-Z]+) +(.*?): (.*?)(?:, claimed ([A-Z]+))?(; [^|]*)? \| paper: "(.*)"')


def run(program, command, figure, *arguments):
    done = subprocess.run([program, command, figure, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"verdicts.py: {command} {figure}: {done.stderr.strip()}")
    return done.stdout


def read_settings(text):
    """[(problem, [(quote, [(verdict, of, numbers)])], [remarks])] of what check prints on one figure."""
    settings = []
    for line in filter(None, text.splitlines()):
        if line.startswith("("):
            settings[-1][2].append(line)
        elif verdict := VERDICT.fullmatch(line):
            word, of, numbers, claimed, remark, quote = verdict.groups()
            if claimed and word in ("LOST", "PRESERVED"):
                word += ", as claimed" if word == claimed else f", claimed {claimed}"
            claims = settings[-1][1]
            if not any(quote == other for other, _ in claims):
                claims.append((quote, []))
            next(v for q, v in claims if q == quote).append((word, of, numbers + (remark or "")))
        elif re.match(r"fig\d+, ", line):
            settings.append((line.split(", ", 1)[1], [], []))
        else:
            sys.exit(f"verdicts.py: check printed {line!r}, expected a setting, a verdict or a remark")
    return settings


def section(figure, profile, settings, cost):
    """The generated part of a figure's section."""
    lines = [cost, "", f"![Figure {figure[3:]}](images/{figure}-{profile}.png)", ""]
    for problem, claims, remarks in settings:
        lines += [f"*{problem}*", ""]
        for quote, verdicts in claims:
            lines += [f'Paper: "{quote}"', ""]
            lines += [f"- **{word}** {of}: {numbers}" for word, of, numbers in verdicts]
            lines += [""]
        lines += [f"{remark}\n" for remark in remarks]
    return "\n".join(lines).rstrip()


def table(all_settings):
    lines = ["| figure | problem | claim of the paper | verdict |", "|---|---|---|---|"]
    for figure, settings in all_settings.items():
        for problem, claims, _ in settings:
            for quote, verdicts in claims:
                cell = "<br>".join(f"{of}: **{word}**" for word, of, _ in verdicts)
                name = re.split(r" \(|, ", problem)[0]
                lines.append(f'| [{figure[3:]}](#figure-{figure[3:]}) | {name} | "{quote}" | {cell} |')
    return "\n".join(lines)


def replace(text, marker, content):
    pattern = re.compile(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, count = pattern.subn(lambda found: found[1] + content + "\n" + found[2], text)
    if count != 1:
        sys.exit(f"verdicts.py: reproducing.md has {count} marks <!-- {marker} -->, expected one")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for argument in ("program", "results", "data"):
        parser.add_argument(argument)
    parser.add_argument("--profile", default="demo")
    options = parser.parse_args()
    profile = ("--profile", options.profile)
    page = HERE / "reproducing.md"
    text, all_settings = page.read_text(), {}
    with tempfile.TemporaryDirectory() as folder:
        for figure in FIGURES:
            checked = run(options.program, "check", figure, *profile, "--verbose", "--results", options.results)
            all_settings[figure] = read_settings(checked)
            planned = run(options.program, "run", figure, *profile, "--data", options.data, "--dry-run",
                          "--results", f"{folder}/none.sqlite").splitlines()[-1]
            cost = re.fullmatch(r"(\d+ runs), \d+ tasks, (\d+ updates), (\S+) .*; about (.*) on cpu with (.*)", planned)
            cost = f"{cost[1]}, {cost[2]}, {float(cost[3]):.2g} floating-point operations: about {cost[4]} on {cost[5]}."
            text = replace(text, figure, section(figure, options.profile, all_settings[figure], cost))
            run(options.program, "plot", figure, *profile, "--results", options.results, "--output", folder)
            shutil.copy(f"{folder}/{figure}-{options.profile}.png", HERE / "images")
    page.write_text(replace(text, "table", table(all_settings)))


if __name__ == "__main__":
    main()

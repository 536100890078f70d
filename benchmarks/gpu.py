#!/usr/bin/env python3
"""The stages of gpu.sh, which looks for the card and LibTorch before, and the table of what they printed."""
import argparse
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

root = pathlib.Path(__file__).resolve().parent.parent
RAN, FAILED, LATE, NOT_RUN = "ran", "failed", "ran out of time", "not run"


class Stage:
    """a command that was run, or why it was not"""

    def __init__(self, name, outcome, text, seconds=0.0, status=None):
        self.name, self.outcome, self.text, self.seconds, self.status = name, outcome, text, seconds, status

    def remark(self):
        """what the table says where there are no numbers"""
        lines = [line for line in self.text.splitlines() if line.strip()]
        if self.outcome == NOT_RUN:
            return f"not run: {self.text}"
        return f"{self.outcome} after {self.seconds:.0f} s: {lines[-1].strip() if lines else 'it printed nothing'}"


class Runner:
    """Runs commands one after another, none of them beyond `deadline`, in seconds of time.time()."""

    shortest = 5  # seconds; with less it is not worth to begin

    def __init__(self, deadline, output):
        self.deadline, self.output = deadline, output

    def left(self):
        return self.deadline - time.time()

    def run(self, name, command, at_most, good=(0,)):
        """`at_most` in seconds; ends with a status in `good` where all went well."""
        seconds = min(at_most, self.left())
        if seconds < self.shortest:
            return Stage(name, NOT_RUN, "no time was left")
        print(f"{name}: at most {seconds:.0f} s", file=sys.stderr, flush=True)
        start, outcome = time.time(), LATE
        log = self.output / (re.sub(r"\W+", "-", name) + ".log")
        with log.open("w") as file:
            try:
                process = subprocess.Popen([str(part) for part in command], cwd=root, stdin=subprocess.DEVNULL, stdout=file,
                                           stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as error:
                return Stage(name, NOT_RUN, str(error))
            try:
                outcome = RAN if process.wait(seconds) in good else FAILED
            except subprocess.TimeoutExpired:
                pass
            finally:  # with its children
                for ending, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, None)):
                    if process.poll() is None:
                        os.killpg(process.pid, ending)
                        try:
                            process.wait(patience)
                        except subprocess.TimeoutExpired:
                            pass
        return Stage(name, outcome, log.read_text(errors="replace"), time.time() - start, process.returncode)


# What programs print -> rows of the table, (what, result). Nothing where they printed no such thing.

def read_tests(text):
    if "no GPU here" in text:
        return [("tests on the card", "FAILED: LibTorch saw no GPU, only the CPU was tested")]
    passed = re.search(r"All tests passed \((\d+) assertions? in (\d+) test cases?\)", text)
    if passed:
        return [("tests on the card and the CPU", f"{passed[2]} cases, {passed[1]} assertions, all passed")]
    counts = re.search(r"^test cases: +(\d+).*?(\d+) failed", text, re.M)
    return [("tests on the card and the CPU", f"FAILED: {counts[2]} of {counts[1]} cases")] if counts else []


def read_contract(text):
    counts = re.search(r"(\d+) passed, (\d+) failed", text)
    return [("public interface on the card", counts[0])] if counts else []


def read_adapter(text):
    rows = []
    for line in text.splitlines():
        fields = re.fullmatch(r"(\S+ \S+) +(\d+) +(float|double) *\|(.*)", line)
        if fields:
            numbers = fields[4].replace("|", " ").split()
            step, _, gram, _, checked, _, in_double, rank, _, loop, error = numbers
            rows.append((f"adapter, {fields[1]}, M = {fields[2]}, {fields[3]}",
                         f"step {step} ms; Gram {gram} steps, checked {checked}, in double {in_double}, by a loop {loop}; "
                         f"rank {rank} ms; error {error}"))
    return rows


def read_learner(text):
    return [(f"networks together, {size.strip()}, {count}", f"{rate} updates/s, {step} ms a step")
            for size, count, rate, step in
            re.findall(r"^(\w+ [\d^-]+, batch \d+) +torch +(\d+) +(\S+) +(\S+)", text, re.M)]


def read_figure(text, seconds, status, of_status):
    """of_status: what `sagitta-paper status` printed afterwards"""
    counts = re.findall(r"(\d+) of (\d+) runs, +(\d+) of (\d+) tasks", of_status)
    if not counts:
        return []
    runs, all_runs, tasks, all_tasks = (sum(int(count[i]) for count in counts) for i in range(4))
    data = re.search(r"^data: (.*)$", text, re.M)
    stopped = {0: "", 75: "; stopped by the time given"}.get(status, "")
    rows = [("Figure 1 at the paper's size", f"{runs} of {all_runs} networks, {tasks} of {all_tasks} tasks, "
             f"{seconds:.0f} s{stopped}; data: {data[1] if data else 'not said'}")]
    return rows + [("Figure 1", remark) for remark in re.findall(r"^.*NOT the paper's data.*$", text, re.M)]


def read_verdicts(text):
    return [("Figure 1", claim.split(" | paper:")[0]) for claim in re.findall(r"^[A-Z]{4,}.*$", text, re.M)]


def table(rows):
    cells = [[text.replace("|", "/").replace("\n", " ") for text in row] for row in rows]
    return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {result} |" for what, result in cells)])


def said(*command):
    """the first line that it prints, or nothing"""
    try:
        done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              cwd=root)
    except OSError:
        return ""
    return done.stdout.strip().split("\n")[0] if done.returncode == 0 else ""


def about(card, libtorch):
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    version = re.search(r'SAGITTA_VERSION "(.*)"', (root / "include/sagitta/version.hpp").read_text())[1]
    torch = said(sys.executable, "-c", "import torch; print(f'torch {torch.__version__}, CUDA {torch.version.cuda}')")
    changed = " with changes" if said("git", "status", "--porcelain", "--untracked-files=no") else ""
    name, capability, memory, driver = (card.split(",") + ["", "", "", ""])[:4]
    return [("card", f"{name.strip()}, compute capability {capability.strip()}, {memory.strip()}, driver {driver.strip()}"),
            ("processor", f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores"),
            ("LibTorch", torch if torch and str(libtorch) in said(
                sys.executable, "-c", "import torch; print(torch.utils.cmake_prefix_path)") else f"in {libtorch}"),
            ("compiler", said(os.environ.get("CXX", "c++"), "--version")),
            ("Sagitta", f"{version}, commit {said('git', 'rev-parse', '--short', 'HEAD') or 'unknown'}{changed}")]


def configure(runner, build):
    """tests need Catch2, timings Google Benchmark: without them the rest is built"""
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    for tests, benchmarks in (("ON", "ON"), ("OFF", "ON"), ("ON", "OFF"), ("OFF", "OFF")):
        stage = runner.run(f"configure, tests {tests}, benchmarks {benchmarks}",
                           ["cmake", "-S", root, "-B", build, *ninja, "-DCMAKE_BUILD_TYPE=Release", "-DSAGITTA_WITH_LIBTORCH=ON",
                            f"-DSAGITTA_BUILD_TESTS={tests}", f"-DSAGITTA_BUILD_BENCHMARKS={benchmarks}"], 90)
        if stage.outcome != FAILED:
            break
    return stage


def stages(runner, build):
    """runs everything, built in the folder `build`; rows of the table, and whether all went well"""
    rows, good = [], True

    def add(stage, read):
        nonlocal good
        found = read(stage.text) if stage.outcome in (RAN, FAILED, LATE) else []
        rows.extend(found)
        if stage.outcome != RAN or not found:
            rows.append((stage.name, stage.remark()))
        failed = any(result.startswith("FAILED") for _, result in found)
        good = good and (stage.outcome == NOT_RUN or (stage.outcome == RAN and bool(found) and not failed))

    def took(stage):
        return lambda _: [(stage.name, f"{stage.seconds:.0f} s")] if stage.outcome == RAN else []

    stage = configure(runner, build)
    add(stage, took(stage))
    targets = set()
    if stage.outcome == RAN:
        listed = runner.run("list of targets", ["cmake", "--build", build, "--target", "help"], 60)
        targets = set(re.findall(r"^(?:\.\.\. )?([\w-]+)", listed.text, re.M))
    programs = {"libtorch": "tests/libtorch", "libtorch_contract": "tests/libtorch", "libtorch_timing": "benchmarks",
                "torch_learner_timing": "benchmarks", "sagitta-paper": "examples/paper"}
    wanted = [target for target in programs if target in targets]
    if wanted:
        stage = runner.run("build", ["cmake", "--build", build, "--parallel", os.cpu_count() or 1, "--target", *wanted], 360)
        add(stage, took(stage))

    def program(name, target, arguments, at_most, **options):
        if target not in targets:
            return Stage(name, NOT_RUN, f"CMake made no target {target} (what it did not find is in the logs)")
        path = build / programs[target] / target
        if not path.exists():
            return Stage(name, NOT_RUN, f"{target} was not built")
        return runner.run(name, [path, *arguments], at_most, **options)

    add(program("tests on the card", "libtorch", [], 150), read_tests)
    add(program("public interface", "libtorch_contract", ["cuda"], 60), read_contract)
    add(program("adapter", "libtorch_timing", [2, "", "cuda"], 60), read_adapter)
    add(program("networks together", "torch_learner_timing", ["--device", "cuda", "--seconds", 2], 60), read_learner)

    for old in runner.output.glob("fig1.sqlite*"):
        old.unlink()
    choice = ["fig1", "--profile", "paper", "--results", runner.output / "fig1.sqlite"]
    seconds = runner.left() - 30  # it ends the tasks that it is in; then status and check
    if seconds < 10:
        figure = Stage("Figure 1", NOT_RUN, "no time was left")
    else:
        figure = program("Figure 1", "sagitta-paper",
                         ["run", *choice, "--learner", "torch", "--device", "cuda", "--max-hours", seconds / 3600],
                         seconds + 20, good=(0, 75))
    status = program("Figure 1 status", "sagitta-paper", ["status", *choice], 10) if figure.outcome != NOT_RUN else figure
    add(figure, lambda text: read_figure(text, figure.seconds, figure.status, status.text))
    if figure.outcome == RAN:
        rows.extend(read_verdicts(program("Figure 1 verdicts", "sagitta-paper", ["check", *choice], 10,
                                          good=(0, 1)).text))
    return rows, good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--card", required=True, help="name, compute capability, memory, driver")
    parser.add_argument("--libtorch", required=True, help="where LibTorch was found")
    parser.add_argument("--deadline", required=True, type=float, help="seconds since 1970")
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--output", required=True, type=pathlib.Path)
    options = parser.parse_args()
    options.output = options.output.resolve()
    options.output.mkdir(parents=True, exist_ok=True)
    rows, good = stages(Runner(options.deadline, options.output), options.build.resolve())
    text = table(about(options.card, options.libtorch) + rows)
    (options.output / "report.md").write_text(text + "\n")
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

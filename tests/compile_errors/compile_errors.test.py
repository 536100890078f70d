"""Each mistake of mistakes.cpp is one error, which says what the comment behind it says:
compile_errors.test.py COMPILER INCLUDE_FOLDERS..."""
import pathlib
import re
import subprocess
import sys
import unittest

compiler, *folders = sys.argv[1:]
source = pathlib.Path(__file__).with_name("mistakes.cpp")


class CompileErrors(unittest.TestCase):
    def test_one_line_says_why(self):
        command = [compiler, "-std=c++20", "-fsyntax-only", "-fdiagnostics-color=never", f"-I{folders[0]}"]
        command += [f"-isystem{folder}" for folder in folders[1:]] + [source]
        if "clang" in subprocess.run([compiler, "--version"], text=True, capture_output=True).stdout:
            command.insert(1, "-ferror-limit=0")  # it stops after 20
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertNotEqual(done.returncode, 0)
        errors = [line for line in done.stdout.splitlines() if re.search(r"\berror: ", line)]
        expected = {number: line.split("// ")[1] for number, line in enumerate(source.read_text().splitlines(), 1)
                    if "// " in line and line.startswith("  ")}
        self.assertGreater(len(expected), 25)
        for number, why in expected.items():
            self.assertRegex(done.stdout, rf"mistakes\.cpp:({number}|{number - 1}):", why)  # a statement's first line
            found = [line for line in errors if why in line]
            self.assertEqual(len(found), list(expected.values()).count(why), f"{why}\n" + "\n".join(errors))
        self.assertEqual(len(errors), len(expected), "\n".join(errors))


unittest.main(argv=sys.argv[:1])

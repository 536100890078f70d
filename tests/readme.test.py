"""What README.md and docs/training_codes.md show is what the code says and prints:
readme.test.py PROJECT QUICK_START_PROGRAM GPT2_PROGRAM"""
import pathlib
import re
import subprocess
import sys
import unittest

project, program, gpt2 = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
readme = (project / "README.md").read_text()


class Readme(unittest.TestCase):
    def test_listing_is_the_example(self):
        listing = re.search(r"```cpp\n(#include <iostream>.*?)```", readme, re.S).group(1)
        self.assertEqual(listing, (project / "examples/quick_start.cpp").read_text())

    def test_output_is_the_examples(self):
        shown = re.search(r"```text\n(directions of curvature.*?)```", readme, re.S).group(1)
        printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
        # random inputs come from the C library: compare the words, and that every line has a value
        words = [line.split(":")[0] for line in shown.splitlines()]
        self.assertEqual(words, [line.split(":")[0] for line in printed.splitlines()])
        self.assertTrue(all(re.search(r": +-?\d", line) for line in printed.splitlines()))

    def test_other_listings_are_lines_of_programs_that_are_built(self):
        listings = re.findall(r"```cpp\n(.*?)```", readme, re.S)
        lines = {line.strip() for path in ("examples/quick_start.cpp", "tests/consumer/libtorch.cpp")
                 for line in (project / path).read_text().splitlines()}
        self.assertEqual(len(listings), 2)
        for line in "".join(listings).splitlines():
            self.assertIn(line.strip(), lines | {""})

    def test_training_codes(self):
        page = (project / "docs/training_codes.md").read_text()
        lines = {line.strip() for path in ("examples/gpt2.cpp", "tests/training_codes.test.cpp")
                 for line in (project / path).read_text().splitlines()}
        listings = re.findall(r"```cpp\n(.*?)```", page, re.S)
        self.assertGreater(len(listings), 6)
        self.assertEqual([line for line in "".join(listings).splitlines() if line.strip() not in lines | {""}], [])
        shown = re.search(r"```text\n(.*?)```", page, re.S).group(1).splitlines()
        printed = subprocess.run([gpt2], check=True, capture_output=True, text=True).stdout.splitlines()
        self.assertEqual([line.split(":")[0] for line in shown], [line.split(":")[0] for line in printed])
        self.assertEqual(shown[:2], printed[:2])


unittest.main(argv=sys.argv[:1])

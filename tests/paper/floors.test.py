"""The floors of examples/paper: no file includes one of a floor above its own. floors.test.py PROJECT"""
import pathlib
import re
import sys
import unittest

paper = pathlib.Path(sys.argv[1]) / "examples/paper"
floors = ["data", "learners", "runs", "verdicts", "figures", "commands"]  # from the ground up; main.cpp is above


class Floors(unittest.TestCase):
    def test_no_arrow_points_up(self):
        files = [path for path in paper.rglob("*.[ch]pp") if path.parent != paper]
        self.assertGreater(len(files), 50)
        self.assertEqual({path.relative_to(paper).parts[0] for path in files}, set(floors))
        for path in files:
            own = floors.index(path.relative_to(paper).parts[0])
            for included in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
                if included == "commit.hpp":  # generated
                    continue
                self.assertTrue((paper / included).is_file(), f"{path}: {included} is not named by its folder")
                self.assertLessEqual(floors.index(included.split("/")[0]), own, f"{path} includes {included}")

    def test_only_the_torch_files_include_libtorch(self):
        for path in paper.rglob("*.[ch]pp"):
            if re.search(r"#include <(torch|ATen|c10)/", path.read_text()):
                self.assertTrue(path.name.startswith("torch_"), path)


unittest.main(argv=sys.argv[:1])

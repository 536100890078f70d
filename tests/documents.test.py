"""Links in the documents lead somewhere, and every file that names the version names the same: documents.test.py PROJECT"""
import ast
import datetime
import json
import pathlib
import re
import subprocess
import sys
import unittest

project = pathlib.Path(sys.argv[1]).resolve()
version = re.search(r'SAGITTA_VERSION "(.*)"', (project / "include/sagitta/version.hpp").read_text()).group(1)


def anchors(text):
    """the names that GitHub gives to the headings"""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = re.findall(r"^#+ +(.*?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()).replace(" ", "-")
            for heading in headings}


class Links(unittest.TestCase):
    def test_files_and_headings_are_there(self):
        documents = [path for folder in (project, project / "docs") for path in sorted(folder.glob("*.md"))]
        self.assertGreater(len(documents), 5)
        for document in documents:
            text = document.read_text()
            for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)", re.sub(r"```.*?```", "", text, flags=re.S)):
                file = document.parent / target if target else document
                self.assertTrue(file.exists(), f"{document.name}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(file.read_text()), f"{document.name}: {target}#{anchor}")


class Version(unittest.TestCase):
    def read(self, name):
        return (project / name).read_text()

    def test_parts_of_the_header(self):
        parts = re.findall(r"SAGITTA_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", self.read("include/sagitta/version.hpp"))
        self.assertEqual(".".join(parts), version)

    def test_citation_and_debian_have_version_and_day(self):
        citation = self.read("CITATION.cff")
        self.assertEqual(re.search(r"^version: (.*)$", citation, re.M).group(1), version)
        day = datetime.date.fromisoformat(re.search(r"^date-released: (.*)$", citation, re.M).group(1))
        changelog = self.read("packaging/debian/changelog")
        self.assertEqual(re.match(r"sagitta \((.*?)\) ", changelog).group(1), version)
        signed = re.search(r"^ -- \S.* <\S+@\S+>  (.*) \d\d:\d\d:\d\d \+0000$", changelog, re.M).group(1)
        self.assertEqual(signed, day.strftime("%a, %d %b %Y"))  # the weekday too

    def test_changelog(self):
        newest = re.search(r"^## (.*)$", self.read("CHANGELOG.md"), re.M).group(1)
        self.assertIn(version, newest)

    def test_recipes(self):
        self.assertEqual(json.loads(self.read("packaging/vcpkg/ports/sagitta/vcpkg.json"))["version"], version)
        spack = self.read("packaging/spack/spack_repo/sagitta/packages/sagitta/package.py")
        self.assertIn(f'version("{version}", tag="v{version}")', spack)
        for recipe in ("packaging/conan/conanfile.py", "packaging/conan/test_package/conanfile.py"):
            ast.parse(self.read(recipe))
        ast.parse(spack)


class Workflows(unittest.TestCase):
    def test_presets_targets_and_files_that_they_name_are_there(self):
        presets = {preset["name"] for preset in json.loads((project / "CMakePresets.json").read_text())["configurePresets"]}
        workflows = sorted((project / ".github/workflows").glob("*.yml"))
        self.assertTrue(workflows)
        for workflow in workflows:
            text = workflow.read_text()
            self.assertLessEqual(set(re.findall(r"--preset (\w+)", text)), presets, workflow.name)
            named = re.findall(r"(?<![\w/$.])(?:tests|packaging|benchmarks|docs)/[\w./-]+", text)
            self.assertTrue(named, workflow.name)
            for name in named:
                self.assertTrue((project / name).exists(), f"{workflow.name}: {name}")


class Scripts(unittest.TestCase):
    def test_shell_scripts_parse_and_can_be_run(self):
        for name in ("benchmarks/gpu.sh", "examples/demo.sh", "tests/run.sh", ".ci/run"):
            self.assertTrue((project / name).stat().st_mode & 0o100, name)
            subprocess.run(["bash", "-n", project / name], check=True)


unittest.main(argv=sys.argv[:1])

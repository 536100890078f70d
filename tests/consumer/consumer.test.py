"""Sagitta as a user's project finds it:
consumer.test.py PROJECT VERSION CMAKE GENERATOR COMPILER EIGEN_DIR [TORCH_DIR]"""
import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

project, version, cmake, generator, compiler, eigen = sys.argv[1:7]
torch = "".join(sys.argv[7:])  # folder of TorchConfig.cmake
here = pathlib.Path(__file__).parent
warnings = "-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror"


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class Folder(unittest.TestCase):
    """a folder for all tests of a class, and the consumer built in it"""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.path = pathlib.Path(folder.name)

    @staticmethod
    def configure(source, build):
        return [cmake, "-S", source, "-B", build, "-G", generator, f"-DCMAKE_CXX_COMPILER={compiler}",
                f"-DEigen3_DIR={eigen}", "-DCMAKE_BUILD_TYPE=Debug"]

    def build(self, by, *settings, env=None, source="main.cpp", rank=2):
        """Configures, builds and runs the consumer; returns the command that compiled it."""
        build = self.path / f"{self._testMethodName}-{by}"
        call(*self.configure(here, build), f"-DSAGITTA_BY={by}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *settings, env=env)
        call(cmake, "--build", build)
        self.assertEqual(call(build / "consumer"), f"{version} {rank}\n")
        commands = json.loads((build / "compile_commands.json").read_text())
        # a user gets the library, not its tests, examples and benchmarks
        self.assertEqual([pathlib.Path(command["file"]).name for command in commands], [source])
        return commands[0]["command"]


class Consumer(Folder):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Only the library: nothing but Eigen is needed for that. A warning of CMake's about our files is an error.
        call(*cls.configure(project, cls.path / "build"), "-Werror=dev", "-Werror=deprecated", "-DSAGITTA_BUILD_TESTS=OFF",
             "-DSAGITTA_BUILD_EXAMPLES=OFF", "-DSAGITTA_WITH_LIBTORCH=OFF",
             f"-DCMAKE_INSTALL_PREFIX={cls.path / 'first'}")
        call(cmake, "--install", cls.path / "build")
        shutil.move(cls.path / "first", cls.path / "prefix")  # an installed tree can be moved

    def test_find_package_of_an_installed_tree(self):
        installed = f"-DCMAKE_PREFIX_PATH={self.path / 'prefix'}"
        major, minor = (int(part) for part in version.split(".")[:2])
        command = self.build("find_package", installed, f"-DSAGITTA_VERSION={major}.{minor}")
        self.assertIn(f"-isystem {self.path / 'prefix'}", command)
        self.assertNotIn("-W", command)  # our warnings are ours
        self.assertNotIn(f"{project}/include", command)
        # until 1.0 another minor version may have another interface
        for wanted in (f"{major + 1}.0", f"{major}.{minor + 1}", f"{major}.{minor - 1}" if minor else f"{major}.9999"):
            with self.assertRaisesRegex(AssertionError, "compatible|not accepted"):
                self.build("find_package", installed, f"-DSAGITTA_VERSION={wanted}")
        with self.assertRaisesRegex(AssertionError, "nonsense"):
            self.build("find_package", installed, "-DSAGITTA_VERSION=", "-DSAGITTA_COMPONENTS=nonsense")

    def other_eigen(self, found):
        """A package of Eigen of another version, as CMake finds it: it admits requests of its own major version."""
        folder = self.path / f"eigen-{found}"
        folder.mkdir(exist_ok=True)
        (folder / "Eigen3Config.cmake").write_text(
            f'include("{eigen}/Eigen3Config.cmake")\nset(Eigen3_VERSION {found})\n')
        (folder / "Eigen3ConfigVersion.cmake").write_text(
            f'set(PACKAGE_VERSION "{found}")\nif(PACKAGE_FIND_VERSION_MAJOR STREQUAL "{found.split(".")[0]}" AND '
            f'NOT PACKAGE_FIND_VERSION VERSION_GREATER "{found}")\n  set(PACKAGE_VERSION_COMPATIBLE TRUE)\nendif()\n')
        return f"-DEigen3_DIR={folder}"

    def test_eigen_5_is_not_shut_out_and_an_old_one_is(self):
        installed = f"-DCMAKE_PREFIX_PATH={self.path / 'prefix'}"
        self.build("find_package", installed, f"-DSAGITTA_VERSION={version}", self.other_eigen("5.0.1"))
        call(*self.configure(project, self.path / "by-eigen-5"), "-DSAGITTA_BUILD_TESTS=OFF",
             "-DSAGITTA_BUILD_EXAMPLES=OFF", "-DSAGITTA_WITH_LIBTORCH=OFF", self.other_eigen("5.0.1"))
        nowhere = "-DCMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF", "-DCMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH=OFF", \
            "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF", \
            f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja' if generator.startswith('Ninja') else 'make')}"
        for by in (("find_package", installed), ("add_subdirectory", f"-DSAGITTA_SOURCE={project}")):
            with self.assertRaisesRegex(AssertionError, "needs Eigen 3.4 or 5"):
                self.build(*by, f"-DSAGITTA_VERSION={version}", self.other_eigen("3.3.9"), *nowhere)

    def test_what_tests_and_benchmarks_need_is_left_out_with_a_warning(self):
        for package, part in (("Catch2", "TESTS"), ("benchmark", "BENCHMARKS")):
            said = call(*self.configure(project, self.path / f"without-{package}"), "-DSAGITTA_WITH_LIBTORCH=OFF",
                        "-DSAGITTA_BUILD_EXAMPLES=OFF", "-DSAGITTA_BUILD_TESTS=OFF", f"-DSAGITTA_BUILD_{part}=ON",
                        f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON")
            self.assertRegex(said, f"CMake Warning[^~]*{package} was not found")

    def test_add_subdirectory(self):
        command = self.build("add_subdirectory", f"-DSAGITTA_SOURCE={project}", f"-DCMAKE_CXX_FLAGS={warnings}")
        self.assertEqual(command.count("-W"), warnings.count("-W"))

    def test_fetch_content_by_path(self):
        self.build("FetchContent", f"-DSAGITTA_SOURCE={project}", f"-DCMAKE_CXX_FLAGS={warnings}")

    def test_fetch_content_replaced_by_the_user(self):
        # what a user of a project sets who has Sagitta's source elsewhere
        self.build("FetchContent", "-DSAGITTA_SOURCE=/nowhere", f"-DFETCHCONTENT_SOURCE_DIR_SAGITTA={project}")

    def test_pkg_config(self):
        tool, env = self.pkg_config(self.path / "prefix")
        self.assertEqual(call(tool, "--modversion", "sagitta", env=env).strip(), version)
        self.build("pkg-config", env=env)

    @unittest.skipUnless(torch, "no LibTorch")
    def test_the_adapter_of_an_installed_tree_and_of_a_checkout(self):
        adapter = {"source": "libtorch.cpp", "rank": 3}
        # by the prefix, as users do: where a distribution's LibTorch is installed too, Torch_DIR alone mixes the two
        prefix = pathlib.Path(torch).parent
        self.build("find_package", "-DSAGITTA_COMPONENTS=libtorch", f"-DSAGITTA_VERSION={version}",
                   f"-DCMAKE_PREFIX_PATH={self.path / 'prefix'};{prefix}", **adapter)
        self.build("add_subdirectory", "-DSAGITTA_COMPONENTS=libtorch", f"-DSAGITTA_SOURCE={project}",
                   f"-DCMAKE_PREFIX_PATH={prefix}", **adapter)

    def test_a_component_that_is_not_there(self):
        with self.assertRaisesRegex(AssertionError, "libtorch"):
            self.build("find_package", f"-DCMAKE_PREFIX_PATH={self.path / 'prefix'}", f"-DSAGITTA_VERSION={version}",
                       "-DSAGITTA_COMPONENTS=libtorch", "-DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON", source="libtorch.cpp")

    def pack(self, generator):
        """the package that CPack makes, below the test's folder"""
        folder = self.path / f"packed-{generator}"
        call(pathlib.Path(cmake).with_name("cpack"), "--config", self.path / "build/CPackConfig.cmake", "-G", generator,
             "-B", folder)
        (package,) = [file for file in folder.iterdir() if file.is_file()]
        return package

    def pkg_config(self, prefix):
        """the command and its environment; skips where it cannot serve"""
        tool = shutil.which("pkg-config")
        if tool is None or subprocess.run([tool, "--exists", "eigen3"]).returncode != 0:
            self.skipTest("no pkg-config that knows eigen3")
        paths = [str(prefix / "share/pkgconfig"), os.environ.get("PKG_CONFIG_PATH", "")]
        return tool, {**os.environ, "PKG_CONFIG_PATH": os.pathsep.join(filter(None, paths))}

    def test_archive(self):
        package = self.pack("TGZ")
        self.assertEqual(package.name, f"sagitta-{version}.tar.gz")
        with tarfile.open(package) as archive:
            archive.extractall(self.path / "archive")
        prefix = self.path / "archive" / f"sagitta-{version}"
        self.assertEqual(contents(prefix), contents(self.path / "prefix"))
        self.build("pkg-config", env=self.pkg_config(prefix)[1])

    def test_debian_package(self):
        if shutil.which("dpkg-deb") is None or shutil.which("gzip") is None:
            self.skipTest("no dpkg-deb or no gzip")
        package = self.pack("DEB")
        self.assertEqual(package.name, f"libsagitta-dev_{version}_all.deb")
        fields = dict(re.findall(r"^(\S+): (.*)$", call("dpkg-deb", "-f", package), re.M))
        self.assertEqual((fields["Package"], fields["Version"], fields["Architecture"], fields["Depends"], fields["Section"]),
                         ("libsagitta-dev", version, "all", "libeigen3-dev (>= 3.4)", "libdevel"))
        listed = call("dpkg-deb", "-c", package).splitlines()
        self.assertEqual({line.split()[0] for line in listed}, {"drwxr-xr-x", "-rw-r--r--"})
        self.assertEqual({line.split()[1] for line in listed}, {"root/root"})
        root = self.path / "debian"
        call("dpkg-deb", "-x", package, root)
        # the installed tree, but for the licence, which Debian wants elsewhere
        documents = {name: text for name, text in contents(root / "usr").items() if name.startswith("share/doc/")}
        library = {name: text for name, text in contents(self.path / "prefix").items() if not name.startswith("share/doc/")}
        self.assertEqual(contents(root / "usr"), library | documents)
        folder = "share/doc/libsagitta-dev/"
        self.assertEqual(set(documents), {folder + "changelog.gz", folder + "copyright"})
        changelog = gzip.decompress(documents[folder + "changelog.gz"]).decode()
        self.assertEqual(changelog.splitlines()[0], f"sagitta ({version}) unstable; urgency=medium")
        # the licence, paragraph by paragraph, is that of the project
        indented = documents[folder + "copyright"].decode().split("License: Expat\n")[-1]
        licence = (pathlib.Path(project) / "LICENSE").read_text().split("\n\n", 2)[2]
        self.assertEqual("".join(line[1:].rstrip(".") if line == " ." else line[1:] for line in indented.splitlines()),
                         licence.replace("\n", ""))
        self.build("find_package", f"-DCMAKE_PREFIX_PATH={root / 'usr'}", f"-DSAGITTA_VERSION={version}")

    def test_the_installed_tree_is_the_library_alone(self):
        files = set(contents(self.path / "prefix"))
        headers = {str(file.relative_to(project)) for file in (pathlib.Path(project) / "include").rglob("*.hpp")}
        package = {"share/cmake/sagitta/sagitta-config.cmake", "share/cmake/sagitta/sagitta-config-version.cmake",
                   "share/cmake/sagitta/sagitta-targets.cmake",
                   "share/cmake/sagitta/libtorch-target.cmake", "share/cmake/sagitta/eigen.cmake",
                   "share/pkgconfig/sagitta.pc", "share/doc/sagitta/LICENSE"}
        self.assertEqual(files, headers | package)


class SingleHeader(Folder):
    """the core in one file, made by a script"""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.header = cls.path / "include/sagitta/sagitta.hpp"  # in the place of the one that it stands for
        call(sys.executable, pathlib.Path(project) / "packaging/single_header.py", cls.header)
        cls.text = cls.header.read_text()

    @staticmethod
    def includes(lines):
        """(what the line includes or None, the number of conditions it stands under but those that stop), a line each"""
        found, depth = [], 0
        for line in lines:
            depth -= line.startswith("#endif")
            header = re.match(r"#include <([^>]+)>|", line).group(1)
            found.append((header, 0 if header and header.startswith("sagitta/") else depth))
            depth += line.startswith("#if")
        return found

    def test_the_same_bytes_each_time(self):
        again = self.header.with_name("again.hpp")
        call(sys.executable, pathlib.Path(project) / "packaging/single_header.py", again, cwd=self.path,
             env={**os.environ, "PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"})
        self.assertEqual(again.read_bytes(), self.header.read_bytes())

    def test_licence_version_and_includes_once(self):
        for line in (pathlib.Path(project) / "LICENSE").read_text().splitlines():
            self.assertIn(f"// {line}".rstrip() + "\n", self.text)
        self.assertTrue(self.text.startswith(f"// Sagitta {version}, "))
        self.assertEqual(self.text.count("#include"), len(re.findall(r"^#include <.*>", self.text, re.M)))
        included = [name for name, depth in self.includes(self.text.splitlines()) if name and not depth]
        outside = [name for name in included if not name.startswith("sagitta/")]
        self.assertEqual(outside, sorted(set(outside)))
        self.assertIn("Eigen/Core", outside)
        for name in set(included) - set(outside):  # those that are not there stop compilers that cannot go on
            self.assertFalse((pathlib.Path(project) / "include" / name).exists(), name)
        self.assertEqual(self.text.count("#pragma once"), 1)

    def test_every_header_once_and_after_those_that_it_includes(self):
        include = pathlib.Path(project) / "include"
        names = re.findall(r"^// (sagitta/[\w/]+\.hpp)$", self.text, re.M)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(names[-1], "sagitta/sagitta.hpp")
        for place, name in enumerate(names):
            lines = (include / name).read_text().splitlines()
            # what is included under a condition stays where it is
            headers = [None if depth else header for header, depth in self.includes(lines)]
            ours = {header for header in headers if header and (include / header).exists()}
            self.assertLessEqual(ours, set(names[:place]), name)
            code = "\n".join(line for line, header in zip(lines, headers) if line != "#pragma once" and
                             (header is None or header.startswith("sagitta/") and header not in ours))
            self.assertIn(f"// {name}\n\n{code.strip()}\n", self.text)

    def test_an_older_language_is_one_clear_error(self):
        source = self.path / "old.cpp"
        source.write_text("#include <sagitta/sagitta.hpp>\n")
        done = subprocess.run([compiler, "-std=c++17", "-fsyntax-only", "-I", self.path / "include", source],
                              stderr=subprocess.PIPE, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Sagitta needs C++20", done.stderr)
        self.assertLessEqual(len(re.findall("error:", done.stderr)), 2, done.stderr)

    def test_compiles_without_the_others(self):
        self.build("header", f"-DSAGITTA_SOURCE={self.path / 'include'}", f"-DCMAKE_CXX_FLAGS={warnings}")


class Headers(unittest.TestCase):
    def test_the_core_includes_eigen_and_the_standard_library_alone(self):
        include = pathlib.Path(project) / "include/sagitta"
        for header in include.rglob("*.hpp"):
            if header.relative_to(include).parts[0].startswith("libtorch"):
                continue
            for line in header.read_text().splitlines():
                if not line.startswith("#include"):
                    continue
                self.assertRegex(line, r"^#include <(Eigen/\w+|sagitta/(?!libtorch)[\w/]+\.hpp|[a-z_]+)>", header)


unittest.main(argv=sys.argv[:1])

"""What users' compilers, flags and other headers do around Sagitta's: surroundings.test.py PROJECT COMPILER EIGEN..."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

project, compiler, *eigen = sys.argv[1:]
strict = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
# names that <windows.h> and the headers it includes take, as macros; its min and max are seen by headers after Eigen's
macros = ["near", "far", "pascal", "cdecl", "interface struct", "small char", "hyper char", "IN", "OUT", "OPTIONAL",
          "ERROR 0", "NO_ERROR 0", "DELETE 1", "CONST const", "VOID void", "TRUE 1", "FALSE 0", "STRICT 1", "DIFFERENCE 11",
          "RELATIVE 2", "ABSOLUTE 1", "TRANSPARENT 1", "ALTERNATE 1", "min(a, b) (((a) < (b)) ? (a) : (b))",
          "max(a, b) (((a) > (b)) ? (a) : (b))"]


def compile(text, *flags):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "source.cpp"
        source.write_text(text)
        done = subprocess.run([compiler, "-fsyntax-only", *flags, f"-I{project}/include",
                               *(f"-isystem{path}" for path in eigen), str(source)], text=True, capture_output=True)
        return done.returncode, done.stderr


class Surroundings(unittest.TestCase):
    def public_headers(self):
        include = pathlib.Path(project) / "include"
        headers = [str(path.relative_to(include)) for path in (include / "sagitta").glob("*.hpp")]
        return sorted(set(headers) - {"sagitta/libtorch.hpp", "sagitta/version.hpp", "sagitta/mpi.hpp"})

    def test_an_older_language_is_one_error_that_names_the_one_it_takes(self):
        for header in self.public_headers():
            status, said = compile(f"#include <{header}>\n", "-std=c++17")
            self.assertNotEqual(status, 0)
            self.assertEqual(said.count("#error"), said.count('#error "Sagitta needs C++20'), header)
            self.assertIn("Sagitta needs C++20: compile with -std=c++20", said, header)
            self.assertLessEqual(said.count("error:"), 2, header)  # that, and the header that stops the compiler

    def test_no_exceptions_are_one_error(self):
        for header in self.public_headers():
            status, said = compile(f"#include <{header}>\n", "-std=c++20", "-fno-exceptions")
            self.assertNotEqual(status, 0)
            self.assertIn("Sagitta reports bad input by exceptions", said, header)
            self.assertLessEqual(said.count("error:"), 2, header)

    def test_windows_h_before_sagitta_and_after_eigen(self):
        text = "#include <Eigen/Dense>\n" + "".join(f"#define {macro}\n" for macro in macros)
        text += (pathlib.Path(project) / "examples/quick_start.cpp").read_text()
        self.assertEqual(compile(text, "-std=c++20", *strict), (0, ""))

    def test_an_index_of_int(self):
        text = (pathlib.Path(project) / "examples/quick_start.cpp").read_text()
        self.assertEqual(compile(text, "-std=c++20", "-DEIGEN_DEFAULT_DENSE_INDEX_TYPE=int", *strict), (0, ""))


unittest.main(argv=sys.argv[:1])

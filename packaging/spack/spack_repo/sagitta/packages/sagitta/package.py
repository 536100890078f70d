# Copyright 2026 The Sagitta authors
#
# SPDX-License-Identifier: MIT
"""Not run yet. With Spack 1.0, from the project's root:

    spack repo add packaging/spack/spack_repo/sagitta
    spack install sagitta@main

It takes the repository that it lies in; docs/releasing.md says what a registry's copy has instead.
"""
from pathlib import Path

from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class Sagitta(CMakePackage):
    """Header-only C++20 library that measures how many directions of curvature a neural network
    has left: effective ranks of Hessians, Fisher and Gauss-Newton matrices, with error brackets."""

    git = f"file://{Path(__file__).resolve().parents[6]}"

    license("MIT")

    version("main", branch="main")
    version("0.1.0", tag="v0.1.0")

    depends_on("cxx", type="build")
    depends_on("cmake@3.22:", type="build")
    # header-only: who includes it includes Eigen
    depends_on("eigen@3.4:", type=("build", "link"))

    conflicts("%gcc@:11", msg="needs C++20")
    conflicts("%clang@:13", msg="needs C++20")

    def cmake_args(self):
        return [
            self.define("SAGITTA_BUILD_TESTS", False),
            self.define("SAGITTA_BUILD_EXAMPLES", False),
            self.define("SAGITTA_BUILD_BENCHMARKS", False),
            self.define("SAGITTA_WITH_LIBTORCH", False),
        ]

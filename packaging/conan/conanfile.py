"""Conan 2 recipe. From the project's root:

    conan create packaging/conan -s compiler.cppstd=20
    conan create packaging/conan -s compiler.cppstd=20 -pr:a default -pr:a packaging/conan/system-eigen

The second takes the system's Eigen. The recipe takes the checkout that it lies in; docs/releasing.md says what a
registry's copy has instead. Consumers find the CMake package that the project itself installs: it looks for Eigen as
CMake does, whosever Eigen that is, and has the component libtorch.
"""
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir

required_conan_version = ">=2.0"


class SagittaConan(ConanFile):
    name = "sagitta"
    description = "Directions of curvature that a neural network has left"
    license = "MIT"
    topics = ("machine-learning", "curvature", "hessian", "plasticity", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    def set_version(self):
        header = load(self, Path(self.recipe_folder, "../../include/sagitta/version.hpp"))
        self.version = re.search(r'SAGITTA_VERSION "(.*)"', header).group(1)

    def export_sources(self):
        root = Path(self.recipe_folder, "../..").resolve()
        for pattern in ("CMakeLists.txt", "LICENSE", "cmake/*", "include/*", "packaging/debian/*"):
            copy(self, pattern, src=root, dst=self.export_sources_folder)

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires("eigen/[>=3.4]", transitive_headers=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        for what in ("TESTS", "EXAMPLES", "BENCHMARKS"):
            toolchain.cache_variables[f"SAGITTA_BUILD_{what}"] = False
        toolchain.cache_variables["SAGITTA_WITH_LIBTORCH"] = "OFF"
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE", self.source_folder, Path(self.package_folder, "licenses"))
        rmdir(self, Path(self.package_folder, "share/doc"))

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.builddirs = ["share/cmake/sagitta"]
        self.cpp_info.set_property("cmake_find_mode", "none")
        self.cpp_info.set_property("pkg_config_name", "sagitta")
        if self.settings.os in ("Linux", "FreeBSD"):
            self.cpp_info.system_libs = ["pthread"]

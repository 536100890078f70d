# From the project's root: vcpkg install sagitta --overlay-ports=packaging/vcpkg/ports (not run by vcpkg itself yet)
#
# It takes the checkout that it lies in; docs/releasing.md says what a registry's copy has instead.
set(VCPKG_BUILD_TYPE release) # header-only
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../../.." ABSOLUTE)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DSAGITTA_BUILD_BENCHMARKS=OFF
        -DSAGITTA_BUILD_EXAMPLES=OFF
        -DSAGITTA_BUILD_TESTS=OFF
        -DSAGITTA_WITH_LIBTORCH=OFF
)

vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/sagitta)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")

vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")

# `cmake --build BUILD --target package` (or cpack): sagitta-VERSION.tar.gz, unpacked over any prefix, and
# libsagitta-dev_VERSION_all.deb. Headers and CMake files alone: nothing is compiled for it, nor for the target install.
set(CMAKE_SKIP_PACKAGE_ALL_DEPENDENCY ON)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

# What Debian's policy asks for beside the files; in the .deb it stands for the licence of other installations.
set(changelog ${PROJECT_SOURCE_DIR}/packaging/debian/changelog)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${changelog})
find_program(SAGITTA_GZIP gzip)  # CMake's own leaves the time in the file
mark_as_advanced(SAGITTA_GZIP)
if(SAGITTA_GZIP)
  execute_process(COMMAND ${SAGITTA_GZIP} -9nc ${changelog} OUTPUT_FILE ${PROJECT_BINARY_DIR}/changelog.gz
    COMMAND_ERROR_IS_FATAL ANY)
endif()
install(FILES ${PROJECT_BINARY_DIR}/changelog.gz ${PROJECT_SOURCE_DIR}/packaging/debian/copyright
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/libsagitta-dev COMPONENT debian EXCLUDE_FROM_ALL)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/cpack-generator.cmake @ONLY CONTENT [[
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_INSTALL_CMAKE_PROJECTS
    "@PROJECT_BINARY_DIR@;sagitta;Unspecified;/" "@PROJECT_BINARY_DIR@;sagitta;debian;/")
endif()
]])
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_BINARY_DIR}/cpack-generator.cmake)

set(CPACK_GENERATOR TGZ)
if(SAGITTA_GZIP AND NOT WIN32)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_PACKAGE_NAME sagitta)
set(CPACK_PACKAGE_VENDOR "The Sagitta authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "directions of curvature that a neural network has left (headers)")
set(CPACK_PACKAGE_FILE_NAME sagitta-${PROJECT_VERSION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES OFF)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_NAME libsagitta-dev)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_MULTIARCH foreign)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake, libtorch-dev, pkg-config")
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# the one who signs the newest entry of the changelog
file(STRINGS ${changelog} signatures REGEX "^ -- ")
list(GET signatures 0 signature)
string(REGEX REPLACE "^ -- (.*>)  .*$" "\\1" CPACK_DEBIAN_PACKAGE_MAINTAINER "${signature}")
set(CPACK_PACKAGE_DESCRIPTION "\
Sagitta measures the effective rank of a network's curvature, and what goes
with it: Gram matrices of per-sample gradients, Fisher and Gauss-Newton ranks,
gradient overlap, feature rank, dormancy, and penalties that keep the
curvature. Every rank comes with a bracket of what rounding cannot exclude.
This package holds the headers, for Eigen and, where it is installed, for
LibTorch.")
include(CPack)

# Installs the headers and the package that find_package(sagitta) finds.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sagitta DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS sagitta EXPORT sagitta-targets)
install(EXPORT sagitta-targets NAMESPACE sagitta:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sagitta)
configure_package_config_file(cmake/sagitta-config.cmake.in ${PROJECT_BINARY_DIR}/sagitta-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sagitta)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sagitta-config-version.cmake
  COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/sagitta-config.cmake ${PROJECT_BINARY_DIR}/sagitta-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/sagitta)

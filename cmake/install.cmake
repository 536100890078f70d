# Installs the headers, the package that find_package(sagitta) finds, and the file that pkg-config finds.
# All of it is text that serves every architecture, so it goes below share/.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/sagitta)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sagitta DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS sagitta EXPORT sagitta-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT sagitta-targets NAMESPACE sagitta:: DESTINATION ${package_dir})
configure_package_config_file(cmake/sagitta-config.cmake.in ${PROJECT_BINARY_DIR}/sagitta-config.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sagitta-config-version.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/sagitta-config.cmake ${PROJECT_BINARY_DIR}/sagitta-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/libtorch-target.cmake ${PROJECT_SOURCE_DIR}/cmake/eigen.cmake DESTINATION ${package_dir})

# relative to the file itself, so that an installed tree can be moved
file(RELATIVE_PATH pkgconfig_to_include ${CMAKE_INSTALL_FULL_DATADIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(cmake/sagitta.pc.in ${PROJECT_BINARY_DIR}/sagitta.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/sagitta.pc DESTINATION ${pkgconfig_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licence)

if(PROJECT_IS_TOP_LEVEL)
  include(${PROJECT_SOURCE_DIR}/cmake/package.cmake)
endif()

# Looks for Eigen, 3.4 or 5: a package of either admits only requests of its own major version. Serves the build as
# well as the installed package.
if(NOT TARGET Eigen3::Eigen)
  set(sagitta_eigen_dir "${Eigen3_DIR}")
  find_package(Eigen3 3.4 QUIET NO_MODULE)
  if(NOT Eigen3_FOUND)
    if(sagitta_eigen_dir)
      set(Eigen3_DIR "${sagitta_eigen_dir}" CACHE PATH "Folder of Eigen3Config.cmake" FORCE)
    endif()
    find_package(Eigen3 5 QUIET NO_MODULE)
  endif()
endif()

# Looks for LibTorch and, where it is found, makes the target sagitta::libtorch. Serves the build as well as the
# installed package.
#
# LibTorch's own targets are visible only in the directory that looks for it; they are made global, so that a
# project that adds this one by add_subdirectory can link ours.
if(NOT TARGET sagitta::libtorch)
  get_property(sagitta_targets_before DIRECTORY PROPERTY IMPORTED_TARGETS)
  find_package(Torch 1.13 ${SAGITTA_FIND_TORCH})
  if(Torch_FOUND)
    get_property(sagitta_targets_after DIRECTORY PROPERTY IMPORTED_TARGETS)
    list(REMOVE_ITEM sagitta_targets_after ${sagitta_targets_before})
    foreach(sagitta_target IN LISTS sagitta_targets_after)
      set_target_properties(${sagitta_target} PROPERTIES IMPORTED_GLOBAL TRUE)
    endforeach()
    # LibTorch looks for its c10 in the system's folders first: beside a distribution's LibTorch that would be
    # the other one's. Its imported target is its own.
    set(sagitta_torch_libraries ${TORCH_LIBRARIES})
    if(TARGET c10)
      list(TRANSFORM sagitta_torch_libraries REPLACE "^.*/libc10\\.[a-z.]+$" "c10")
    endif()
    add_library(sagitta::libtorch INTERFACE IMPORTED GLOBAL)
    target_link_libraries(sagitta::libtorch INTERFACE sagitta::sagitta ${sagitta_torch_libraries})
  endif()
endif()

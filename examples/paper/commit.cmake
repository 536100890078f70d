# cmake -DSOURCE=DIR -DOUTPUT=FILE -P commit.cmake: writes which commit is built, where that changed
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define SAGITTA_PAPER_COMMIT \"${commit}\"\n")

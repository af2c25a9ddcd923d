# SPDX-License-Identifier: Apache-2.0
# sallyport_library, sallyport_program, sallyport_test: the three kinds of target.

# sallyport_library(NAME SOURCES file... [DEPS target...] [PRIVATE_DEPS target...])
# One static library per folder, called sallyport_NAME. Includes are written from agent/
# ("net/address.h") or from bpf/ ("abi/limits.h").
function(sallyport_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(sallyport_${name} STATIC ${ARG_SOURCES})
  target_include_directories(sallyport_${name} PUBLIC
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools)
  target_link_libraries(sallyport_${name}
    PUBLIC ${ARG_DEPS}
    PRIVATE sallyport_options ${ARG_PRIVATE_DEPS})
endfunction()

# sallyport_program(NAME SOURCES file... DEPS target...): an executable called NAME.
function(sallyport_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools)
  target_link_libraries(${name} PRIVATE sallyport_options ${ARG_DEPS})
endfunction()

# sallyport_test(NAME LABEL label SOURCES file... DEPS target... [TIMEOUT seconds] [SERIAL])
# A GoogleTest program, one ctest entry called LABEL.NAME. Labels bpf and lab need root.
function(sallyport_test name)
  cmake_parse_arguments(ARG "SERIAL" "LABEL;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  set(target ${ARG_LABEL}_${name})
  add_executable(${target} ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools
    ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE
    sallyport_options ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  target_compile_definitions(${target} PRIVATE
    SALLYPORT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SALLYPORT_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${ARG_LABEL}.${name} COMMAND ${target})
  set_tests_properties(${ARG_LABEL}.${name} PROPERTIES LABELS ${ARG_LABEL})
  if(ARG_TIMEOUT)
    set_tests_properties(${ARG_LABEL}.${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
  if(ARG_SERIAL)
    set_tests_properties(${ARG_LABEL}.${name} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

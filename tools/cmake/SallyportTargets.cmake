# SPDX-License-Identifier: Apache-2.0
# sallyport_library, sallyport_program, sallyport_test, sallyport_fuzz, sallyport_check: the kinds
# of target. Each label of tests has a target of its own that builds them all: tests-unit,
# tests-property, ...

foreach(label unit golden property bpf lab fuzz)
  add_custom_target(tests-${label})
endforeach()

# All presets compile eight files of a target as one (CMAKE_UNITY_BUILD): most of the time goes into
# what they all include. So a name in an unnamed namespace is one of its target's, not of its file's.

# What nearly every file includes is parsed once. Files still include what they use: the release
# preset compiles without.
option(SALLYPORT_PRECOMPILE "Precompile the headers of the standard library and GoogleTest" OFF)
set(SALLYPORT_STANDARD_HEADERS
  <algorithm> <cstdint> <functional> <map> <memory> <optional> <set> <sstream> <string>
  <string_view> <utility> <variant> <vector>)
if(SALLYPORT_PRECOMPILE)
  file(WRITE ${PROJECT_BINARY_DIR}/precompiled.cc "")
  add_library(sallyport_precompiled OBJECT ${PROJECT_BINARY_DIR}/precompiled.cc)
  target_precompile_headers(sallyport_precompiled PRIVATE ${SALLYPORT_STANDARD_HEADERS})
  add_library(sallyport_precompiled_test OBJECT ${PROJECT_BINARY_DIR}/precompiled.cc)
  target_precompile_headers(sallyport_precompiled_test PRIVATE
    ${SALLYPORT_STANDARD_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
  target_link_libraries(sallyport_precompiled PRIVATE sallyport_options)
  target_link_libraries(sallyport_precompiled_test PRIVATE
    sallyport_options GTest::gtest_main GTest::gmock)
  # Of the headers the compiler cache knows the content; and their time is that of this clone.
  target_compile_options(sallyport_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>)
endif()

# sallyport_precompile(TARGET [_test]): TARGET uses them.
function(sallyport_precompile target)
  if(SALLYPORT_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM sallyport_precompiled${ARGN})
  endif()
endfunction()

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
  sallyport_precompile(sallyport_${name})
endfunction()

# sallyport_program(NAME SOURCES file... DEPS target...): an executable called NAME.
function(sallyport_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools)
  target_link_libraries(${name} PRIVATE sallyport_options ${ARG_DEPS})
  sallyport_precompile(${name})
endfunction()

# sallyport_test(NAME LABEL label SOURCES file... DEPS target... [COST seconds] [TIMEOUT seconds])
# A GoogleTest program, one ctest entry called LABEL.NAME. Those with the labels bpf and lab need root;
# each has namespaces of its own, so any may run beside any other. COST: about how long it takes; of a
# clone that has none to remember, the longest run first.
function(sallyport_test name)
  cmake_parse_arguments(ARG "" "LABEL;COST;TIMEOUT" "SOURCES;DEPS" ${ARGN})
  set(target ${ARG_LABEL}_${name})
  add_executable(${target} ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools
    ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE
    sallyport_options ${ARG_DEPS} sallyport_test_places GTest::gtest_main GTest::gmock)
  sallyport_precompile(${target} _test)
  add_dependencies(tests-${ARG_LABEL} ${target})
  add_test(NAME ${ARG_LABEL}.${name} COMMAND ${target})
  set_tests_properties(${ARG_LABEL}.${name} PROPERTIES LABELS ${ARG_LABEL})
  if(ARG_COST)
    set_tests_properties(${ARG_LABEL}.${name} PROPERTIES COST ${ARG_COST})
  endif()
  if(ARG_TIMEOUT)
    set_tests_properties(${ARG_LABEL}.${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()

# sallyport_fuzz(NAME SOURCES file... DEPS target...)
# A fuzz target, one ctest entry called fuzz.NAME. With SALLYPORT_FUZZ it runs under libFuzzer, from
# the kept inputs in the caller's corpus/NAME, for as many seconds as the environment's
# SALLYPORT_FUZZ_SECONDS says, or the cache variable's; what it finds stays in the build directory.
# Without, it tries the kept inputs once. Not part of "all": build tests-fuzz.
function(sallyport_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  set(target fuzz_${name})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  set(found ${CMAKE_CURRENT_BINARY_DIR}/found/${name})
  file(MAKE_DIRECTORY ${found})
  add_executable(${target} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_include_directories(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/agent ${PROJECT_SOURCE_DIR}/bpf ${PROJECT_SOURCE_DIR}/tools
    ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${target} PRIVATE sallyport_options ${ARG_DEPS})
  sallyport_precompile(${target})
  add_dependencies(tests-fuzz ${target})
  if(SALLYPORT_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.${name} COMMAND sh -c
      "exec \"$@\" -max_total_time=\"\${SALLYPORT_FUZZ_SECONDS:-${SALLYPORT_FUZZ_SECONDS}}\"" fuzz
      $<TARGET_FILE:${target}> -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
      -artifact_prefix=${found}- ${found} ${corpus})
  else()
    target_link_libraries(${target} PRIVATE sallyport_fuzz_replay)
    add_test(NAME fuzz.${name} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()

# sallyport_check(NAME COMMAND...): a script that looks at the sources, one ctest entry check.NAME.
# It takes the time that others leave: what is tested in the kernel beside it waits, mostly.
function(sallyport_check name)
  add_test(NAME check.${name} COMMAND nice -n 10 ${ARGN})
  set_tests_properties(check.${name} PROPERTIES LABELS check TIMEOUT 1200)
endfunction()

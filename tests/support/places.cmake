# SPDX-License-Identifier: Apache-2.0
# Where the sources are, what was built from them, and directories for a while.
add_library(sallyport_test_places STATIC places.cc temporary.cc)
target_include_directories(sallyport_test_places PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_test_places PRIVATE sallyport_options)
set_source_files_properties(places.cc PROPERTIES COMPILE_DEFINITIONS
  "SALLYPORT_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\";SALLYPORT_BINARY_DIR=\"${PROJECT_BINARY_DIR}\"")

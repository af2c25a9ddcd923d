# SPDX-License-Identifier: Apache-2.0
# Namespaces and pods of a test program's own.
add_library(sallyport_test_sandbox STATIC sandbox.cc)
target_include_directories(sallyport_test_sandbox PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_test_sandbox
  PUBLIC sallyport_net
  PRIVATE sallyport_options Threads::Threads)
sallyport_precompile(sallyport_test_sandbox)

# SPDX-License-Identifier: Apache-2.0
# A second opinion on what a frame is.
add_library(sallyport_test_reading STATIC reading.cc)
target_include_directories(sallyport_test_reading PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_test_reading PUBLIC sallyport_net PRIVATE sallyport_options)
sallyport_precompile(sallyport_test_reading)

# Packets as expressions, and the kernel side as a thing to send them through.
add_library(sallyport_test_packets STATIC packet.cc kernel.cc kernel_loaded.cc
  kernel_tables.cc mapped_tables.cc)
target_include_directories(sallyport_test_packets PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_test_packets
  PUBLIC sallyport_net sallyport_test_reading GTest::gtest
  PRIVATE sallyport_options sallyport_test_sandbox sallyport_dataplane sallyport_bpf_pod
    PkgConfig::LIBBPF)
sallyport_precompile(sallyport_test_packets)

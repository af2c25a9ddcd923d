# SPDX-License-Identifier: Apache-2.0
# The kernel side's code, compiled for this machine; warnings are for whom it was written for.
add_library(sallyport_fuzz_packet_parser STATIC EXCLUDE_FROM_ALL bpf/packet_parser.c)
target_include_directories(sallyport_fuzz_packet_parser PRIVATE ${PROJECT_SOURCE_DIR}/bpf)
target_compile_options(sallyport_fuzz_packet_parser PRIVATE -w -O1)
target_link_libraries(sallyport_fuzz_packet_parser PRIVATE sallyport_options)
set_target_properties(sallyport_fuzz_packet_parser PROPERTIES UNITY_BUILD OFF)
sallyport_fuzz(packet SOURCES bpf/packet_fuzz.cc
  DEPS sallyport_fuzz_packet_parser sallyport_test_reading)

# SPDX-License-Identifier: Apache-2.0
sallyport_test(packets LABEL bpf
  SOURCES packets/basic_test.cc
  DEPS sallyport_test_packets
  TIMEOUT 300)

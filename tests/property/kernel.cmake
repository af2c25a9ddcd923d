# SPDX-License-Identifier: Apache-2.0
# Runs the programs, so it needs root, as the tests of that label.
sallyport_test(worlds LABEL bpf
  SOURCES kernel/worlds_test.cc
  DEPS sallyport_dataplane sallyport_policy sallyport_test_packets sallyport_test_world
  TIMEOUT 600)

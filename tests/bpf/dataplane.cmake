# SPDX-License-Identifier: Apache-2.0
sallyport_test(dataplane LABEL bpf
  SOURCES
    dataplane/dataplane_test.cc
    dataplane/disturbed_test.cc
    dataplane/full_test.cc
    dataplane/stand_by_test.cc
    dataplane/start_test.cc
  DEPS sallyport_dataplane sallyport_test_sandbox
  TIMEOUT 300)

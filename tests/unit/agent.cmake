# SPDX-License-Identifier: Apache-2.0
sallyport_test(endpoint LABEL unit
  SOURCES
    agent/cni_result_test.cc
    agent/device_filter_test.cc
    agent/link_table_test.cc
    agent/tracker_test.cc
  DEPS sallyport_endpoint)

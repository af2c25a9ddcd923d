# SPDX-License-Identifier: Apache-2.0
sallyport_test(dataplane LABEL unit
  SOURCES
    dataplane/buckets_test.cc
    dataplane/egress_tables_test.cc
    dataplane/encoder_test.cc
    dataplane/endpoint_table_test.cc
    dataplane/flow_sweeper_test.cc
    dataplane/flows_test.cc
    dataplane/full_test.cc
    dataplane/images.cc
    dataplane/pin_table_test.cc
    dataplane/port_tables_test.cc
    dataplane/skb_layout_test.cc
    dataplane/trie_test.cc
  DEPS sallyport_dataplane sallyport_test_world Threads::Threads)

# SPDX-License-Identifier: Apache-2.0
sallyport_test(policy LABEL unit
  SOURCES
    policy/addresses_test.cc
    policy/compiler_test.cc
    policy/explain_test.cc
    policy/node_ports_test.cc
    policy/parts_test.cc
    policy/peers_test.cc
    policy/ports_test.cc
    policy/selection_test.cc
  DEPS sallyport_policy sallyport_test_questions)

# SPDX-License-Identifier: Apache-2.0
add_library(sallyport_test_node STATIC agent/node.cc)
target_link_libraries(sallyport_test_node
  PUBLIC sallyport_model sallyport_test_sandbox GTest::gtest
  PRIVATE sallyport_options sallyport_test_places)
sallyport_precompile(sallyport_test_node)
add_dependencies(sallyport_test_node sallyportd sallyportd_next)

sallyport_test(agent LABEL lab
  SOURCES
    agent/agent_test.cc
    agent/api_test.cc
    agent/fake_api.cc
    agent/interfaces_test.cc
    agent/link_watch_test.cc
    agent/real_api_test.cc
    ../unit/kube/tls_server.cc
  DEPS sallyport_dataplane sallyport_endpoint sallyport_kube sallyport_test_node OpenSSL::SSL OpenSSL::Crypto
  COST 85 TIMEOUT 300)

# Agents and pods that come and go.
sallyport_test(agent-life LABEL lab
  SOURCES agent/churn_test.cc agent/replaced_test.cc
  DEPS sallyport_test_node
  COST 55 TIMEOUT 300)

# What an agent's changes do to traffic, tables that are too small included.
sallyport_test(agent-traffic LABEL lab
  SOURCES agent/conversation.cc agent/full_test.cc agent/live_test.cc
  DEPS sallyport_test_node
  COST 40 TIMEOUT 300)

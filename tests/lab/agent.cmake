# SPDX-License-Identifier: Apache-2.0
sallyport_test(agent LABEL lab
  SOURCES
    agent/agent_test.cc
    agent/api_test.cc
    agent/fake_api.cc
    agent/interfaces_test.cc
    agent/link_watch_test.cc
    agent/node.cc
    agent/real_api_test.cc
    ../unit/kube/tls_server.cc
  DEPS sallyport_endpoint sallyport_kube sallyport_model OpenSSL::SSL OpenSSL::Crypto sallyport_test_sandbox
  TIMEOUT 300)
add_dependencies(lab_agent sallyport sallyportd)

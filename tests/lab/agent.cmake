# SPDX-License-Identifier: Apache-2.0
sallyport_test(agent LABEL lab
  SOURCES
    agent/agent_test.cc
    agent/interfaces_test.cc
    agent/link_watch_test.cc
    agent/node.cc
  DEPS sallyport_endpoint sallyport_model sallyport_test_sandbox
  TIMEOUT 300)
add_dependencies(lab_agent sallyportd)

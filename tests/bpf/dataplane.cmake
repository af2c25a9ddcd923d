# SPDX-License-Identifier: Apache-2.0
sallyport_test(dataplane LABEL bpf
  SOURCES
    dataplane/dataplane_test.cc
    dataplane/disturbed_test.cc
    dataplane/full_test.cc
    dataplane/use_test.cc
  DEPS sallyport_dataplane sallyport_test_sandbox
  COST 45 TIMEOUT 300)
sallyport_test(start LABEL bpf
  SOURCES
    dataplane/enclosure_test.cc
    dataplane/stand_by_test.cc
    dataplane/start_test.cc
  DEPS sallyport_dataplane sallyport_test_sandbox
  TIMEOUT 300)

# A predecessor and its successor, in a process each.
sallyport_program(next_agent
  SOURCES dataplane/next_agent.cc
  DEPS sallyport_dataplane_next)
sallyport_test(upgrade LABEL bpf
  SOURCES dataplane/upgrade_test.cc
  DEPS sallyport_dataplane sallyport_test_sandbox
  COST 90 TIMEOUT 600)
add_dependencies(bpf_upgrade next_agent)

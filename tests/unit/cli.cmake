# SPDX-License-Identifier: Apache-2.0
sallyport_test(cli LABEL unit
  SOURCES
    cli/agent_views_test.cc
    cli/commands_test.cc
    cli/conversation_test.cc
    cli/egress_test.cc
    cli/expect_test.cc
    cli/matrix_test.cc
    cli/ports_test.cc
    cli/question_test.cc
    cli/read_world_test.cc
    cli/row_test.cc
    cli/unix_http_test.cc
    cli/world_test.cc
  DEPS sallyport_cli sallyport_probe)

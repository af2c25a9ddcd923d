# SPDX-License-Identifier: Apache-2.0
sallyport_test(cli LABEL unit
  SOURCES cli/conversation_test.cc cli/ports_test.cc
  DEPS sallyport_cli sallyport_probe)

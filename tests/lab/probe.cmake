# SPDX-License-Identifier: Apache-2.0
sallyport_test(probe LABEL lab
  SOURCES probe/egress_test.cc probe/probe_test.cc probe/serve_test.cc
  DEPS sallyport_cli sallyport_probe
  TIMEOUT 60)

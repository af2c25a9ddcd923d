# SPDX-License-Identifier: Apache-2.0
# Pinned pods, through gateways that die; with a capture outside.
add_library(sallyport_egress_fixture STATIC
  egress/capture.cc
  egress/crowd.cc
  egress/egress_fixture.cc)
target_link_libraries(sallyport_egress_fixture
  PUBLIC sallyport_lab_fixture
  PRIVATE sallyport_options)
sallyport_precompile(sallyport_egress_fixture)

sallyport_test(egress LABEL lab
  SOURCES egress/takeover_test.cc
  DEPS sallyport_egress_fixture
  TIMEOUT 300)
sallyport_test(egress-pinned LABEL lab ROW scenarios
  SOURCES egress/pinned_test.cc egress/sizes_test.cc
  DEPS sallyport_egress_fixture
  TIMEOUT 300)

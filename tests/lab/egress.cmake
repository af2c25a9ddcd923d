# SPDX-License-Identifier: Apache-2.0
# Pinned pods, through gateways that die; with a capture outside.
# The connections and the capture need no test around them.
add_library(sallyport_crowd STATIC
  egress/capture.cc
  egress/crowd.cc
  egress/mass.cc
  egress/mass_ends.cc)
target_include_directories(sallyport_crowd PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_crowd PUBLIC sallyport_lab PRIVATE sallyport_options)
sallyport_precompile(sallyport_crowd)
add_library(sallyport_egress_fixture STATIC egress/egress_fixture.cc)
target_link_libraries(sallyport_egress_fixture
  PUBLIC sallyport_lab_fixture sallyport_crowd
  PRIVATE sallyport_options)
sallyport_precompile(sallyport_egress_fixture)

sallyport_test(egress LABEL lab
  SOURCES egress/takeover_test.cc
  DEPS sallyport_egress_fixture
  COST 50 TIMEOUT 300)
sallyport_test(egress-many LABEL lab
  SOURCES egress/many_test.cc
  DEPS sallyport_egress_fixture
  TIMEOUT 300)
sallyport_test(egress-pinned LABEL lab
  SOURCES egress/pinned_test.cc egress/sizes_test.cc
  DEPS sallyport_egress_fixture
  COST 60 TIMEOUT 300)

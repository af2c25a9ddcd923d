# SPDX-License-Identifier: Apache-2.0
sallyport_test(egress LABEL property
  SOURCES
    egress/pin_plan_test.cc egress/port_blocks_test.cc egress/holders_test.cc
  DEPS sallyport_egress sallyport_test_world)

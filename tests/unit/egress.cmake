# SPDX-License-Identifier: Apache-2.0
sallyport_test(egress LABEL unit
  SOURCES
    egress/heartbeat_test.cc
    egress/holders_test.cc
    egress/pin_plan_test.cc
    egress/port_blocks_test.cc
  DEPS sallyport_egress)

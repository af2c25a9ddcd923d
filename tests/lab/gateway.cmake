# SPDX-License-Identifier: Apache-2.0
sallyport_test(gateway LABEL lab
  SOURCES
    gateway/heartbeat_socket_test.cc
    gateway/tunnel_device_test.cc
    gateway/uplink_test.cc
  DEPS sallyport_gateway sallyport_test_sandbox
  TIMEOUT 120)

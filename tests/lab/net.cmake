# SPDX-License-Identifier: Apache-2.0
sallyport_test(net LABEL lab
  SOURCES
    net/dns_test.cc
    net/proxy_test.cc
  DEPS sallyport_lab sallyport_test_sandbox
  TIMEOUT 300)
sallyport_test(services LABEL lab
  SOURCES net/services_test.cc
  DEPS sallyport_lab_fixture
  COST 45 TIMEOUT 300)

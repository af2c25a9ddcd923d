# SPDX-License-Identifier: Apache-2.0
sallyport_test(kube LABEL unit TIMEOUT 120
  SOURCES
    kube/access_test.cc
    kube/client_test.cc
    kube/tls_server.cc
  DEPS sallyport_kube OpenSSL::SSL OpenSSL::Crypto)

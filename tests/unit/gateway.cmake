# SPDX-License-Identifier: Apache-2.0
sallyport_test(gateway LABEL unit TIMEOUT 120
  SOURCES
    gateway/announce_frames_test.cc
    gateway/event_ledger_test.cc
    gateway/heartbeat_key_test.cc
    gateway/lease_book_test.cc
    gateway/lease_client_test.cc
    gateway/object_writer_test.cc
    gateway/status_object_test.cc
    kube/tls_server.cc
  DEPS sallyport_gateway sallyport_apiserver OpenSSL::SSL OpenSSL::Crypto)

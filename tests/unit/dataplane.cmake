# SPDX-License-Identifier: Apache-2.0
sallyport_test(dataplane LABEL unit
  SOURCES
    dataplane/encoder_test.cc
    dataplane/images.cc
  DEPS sallyport_dataplane sallyport_test_world Threads::Threads)

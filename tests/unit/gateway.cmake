# SPDX-License-Identifier: Apache-2.0
sallyport_test(gateway LABEL unit
  SOURCES
    gateway/announce_frames_test.cc
  DEPS sallyport_gateway sallyport_apiserver)

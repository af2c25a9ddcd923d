# SPDX-License-Identifier: Apache-2.0
sallyport_test(apiserver LABEL unit
  SOURCES
    apiserver/egress_test.cc
    apiserver/objects_test.cc
    apiserver/patch_test.cc
    apiserver/watch_test.cc
  DEPS sallyport_apiserver)

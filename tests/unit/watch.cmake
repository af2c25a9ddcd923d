# SPDX-License-Identifier: Apache-2.0
sallyport_test(watch LABEL unit TIMEOUT 120
  SOURCES
    watch/json_stream_test.cc
    watch/manifest_directory_test.cc
    watch/manifest_files_test.cc
    watch/manifest_set_test.cc
    watch/object_set_test.cc
    watch/reflector_list_test.cc
    watch/reflector_property_test.cc
    watch/reflector_test.cc
    watch/store_test.cc
  DEPS sallyport_watch sallyport_state)

# SPDX-License-Identifier: Apache-2.0
sallyport_test(model LABEL unit
  SOURCES
    model/document_test.cc
    model/egress_test.cc
    model/fingerprint_test.cc
    model/labels_test.cc
    model/manifest_test.cc
    model/object_validation_test.cc
    model/policy_validation_test.cc
    model/service_test.cc
    model/snapshot_test.cc
  DEPS sallyport_model)

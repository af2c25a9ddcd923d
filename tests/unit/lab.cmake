# SPDX-License-Identifier: Apache-2.0
sallyport_test(lab LABEL unit
  SOURCES
    lab/controllers_test.cc
    lab/files_test.cc
    lab/objects_test.cc
    lab/plan_test.cc
    lab/recipe_test.cc
    lab/workloads_test.cc
  DEPS sallyport_lab)
sallyport_test(lab-net LABEL unit
  SOURCES
    lab/dns_records_test.cc
    lab/endpoint_slices_test.cc
    lab/proxy_rules_test.cc
  DEPS sallyport_lab)

# SPDX-License-Identifier: Apache-2.0
sallyport_test(lab LABEL unit
  SOURCES
    lab/endpoint_slices_test.cc
    lab/controllers_test.cc
    lab/files_test.cc
    lab/objects_test.cc
    lab/plan_test.cc
    lab/recipe_test.cc
    lab/workloads_test.cc
  DEPS sallyport_lab)

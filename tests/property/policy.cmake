# SPDX-License-Identifier: Apache-2.0
sallyport_test(policy LABEL property
  SOURCES policy/cluster_test.cc policy/compile_test.cc policy/deltas_test.cc policy/moments.cc
    policy/steps_test.cc
  DEPS sallyport_dataplane sallyport_policy sallyport_test_world)

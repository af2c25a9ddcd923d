# SPDX-License-Identifier: Apache-2.0
sallyport_test(policy LABEL golden
  SOURCES policy/image_test.cc
  DEPS sallyport_policy sallyport_test_questions)

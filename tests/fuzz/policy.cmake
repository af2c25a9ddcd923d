# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(compile SOURCES policy/compile_fuzz.cc DEPS sallyport_policy sallyport_test_world)

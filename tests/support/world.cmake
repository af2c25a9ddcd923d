# SPDX-License-Identifier: Apache-2.0
# Random worlds, large clusters, manifests as text.
add_library(sallyport_test_world STATIC
  cluster.cc
  image_checks.cc
  manifest_text.cc
  shrink.cc
  world.cc
  world_flows.cc)
target_include_directories(sallyport_test_world PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_test_world PUBLIC sallyport_policy PRIVATE sallyport_options)
sallyport_precompile(sallyport_test_world)

# Questions from manifests, for tests of what policies mean.
add_library(sallyport_test_questions STATIC questions.cc)
target_link_libraries(sallyport_test_questions
  PUBLIC sallyport_test_world GTest::gtest
  PRIVATE sallyport_options)
sallyport_precompile(sallyport_test_questions)

# What compiling costs: for tests/bench, and by hand.
sallyport_program(compile_cost SOURCES compile_cost.cc DEPS sallyport_test_world)

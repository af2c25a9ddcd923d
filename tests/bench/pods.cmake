# SPDX-License-Identifier: Apache-2.0
add_executable(bench_pods pods/arena.cc pods/main.cc pods/variants.cc pods/workloads.cc)
target_link_libraries(bench_pods PRIVATE
  sallyport_options sallyport_bench_shared sallyport_dataplane sallyport_policy
  sallyport_test_places CLI11::CLI11)

add_executable(bench_compile compile.cc)
target_include_directories(bench_compile PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(bench_compile PRIVATE
  sallyport_options sallyport_dataplane sallyport_test_world sallyport_test_sandbox
  nlohmann_json::nlohmann_json CLI11::CLI11)

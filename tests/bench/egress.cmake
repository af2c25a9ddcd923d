# SPDX-License-Identifier: Apache-2.0
add_executable(bench_egress
  egress/agents.cc
  egress/few_ports.cc
  egress/main.cc
  egress/site.cc
  egress/traffic.cc
  egress/ways.cc
  egress/workloads.cc)
target_link_libraries(bench_egress PRIVATE
  sallyport_options sallyport_bench_shared sallyport_dataplane sallyport_gateway sallyport_policy
  sallyport_test_places nlohmann_json::nlohmann_json CLI11::CLI11)

# SPDX-License-Identifier: Apache-2.0
add_executable(bench_failover failover/cluster.cc failover/main.cc failover/stream.cc)
target_include_directories(bench_failover PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(bench_failover PRIVATE SALLYPORT_TOOL="$<TARGET_FILE:sallyport>")
target_link_libraries(bench_failover PRIVATE
  sallyport_options sallyport_lab sallyport_crowd nlohmann_json::nlohmann_json CLI11::CLI11)
add_dependencies(bench_failover sallyport sallyportd)

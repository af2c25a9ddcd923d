# SPDX-License-Identifier: Apache-2.0
# Namespaces, processor time and tables of benchmarks with real traffic.
add_library(sallyport_bench_shared STATIC shared/measure.cc shared/spaces.cc shared/table.cc)
target_include_directories(sallyport_bench_shared PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(sallyport_bench_shared
  PUBLIC sallyport_base
  PRIVATE sallyport_options nlohmann_json::nlohmann_json Threads::Threads)

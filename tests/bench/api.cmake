# SPDX-License-Identifier: Apache-2.0
add_executable(bench_api api/births.cc api/main.cc api/world.cc)
target_include_directories(bench_api PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(bench_api PRIVATE
  SALLYPORT_TOOL="$<TARGET_FILE:sallyport>" SALLYPORT_AGENT="$<TARGET_FILE:sallyportd>")
target_link_libraries(bench_api PRIVATE
  sallyport_options sallyport_kube sallyport_answers sallyport_test_sandbox nlohmann_json::nlohmann_json
  CLI11::CLI11)
add_dependencies(bench_api sallyport sallyportd)

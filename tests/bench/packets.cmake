# SPDX-License-Identifier: Apache-2.0
include(SallyportBpf)
sallyport_bpf(vary)
add_executable(bench_packets packets.cc)
target_link_libraries(bench_packets PRIVATE
  sallyport_options sallyport_test_packets sallyport_bpf_vary PkgConfig::LIBBPF)

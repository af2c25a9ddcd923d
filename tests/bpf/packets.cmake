# SPDX-License-Identifier: Apache-2.0
sallyport_test(packets LABEL bpf
  SOURCES
    packets/bystander_test.cc
    packets/closed_test.cc
    packets/direct_test.cc
    packets/flow_test.cc
    packets/fragment_test.cc
    packets/generation_test.cc
    packets/kept_test.cc
    packets/headers_test.cc
    packets/icmp_test.cc
    packets/load_test.cc
    packets/malformed_test.cc
    packets/pin_errors_test.cc
    packets/pin_ports_test.cc
    packets/pin_test.cc
    packets/pin_usual_test.cc
    packets/policy_test.cc
    packets/reasons.cc
    packets/report_test.cc
    packets/spent_test.cc
    packets/spoofing_test.cc
    packets/table_test.cc
  DEPS sallyport_test_packets
  TIMEOUT 300)
sallyport_test(traffic LABEL bpf
  SOURCES
    traffic/attack_test.cc
    traffic/checksum_test.cc
    traffic/flood_test.cc
    traffic/service_test.cc
    traffic/service_ways_out_test.cc
    traffic/traffic.cc
    traffic/traffic_test.cc
  DEPS sallyport_test_packets sallyport_test_sandbox
  COST 110 TIMEOUT 300)

# SPDX-License-Identifier: Apache-2.0
# The scenarios of policies/, from their manifests alone: what `explain` says of every pair, port and
# address outside is what expect.yaml says. tests/lab/scenarios.cmake tries the same for real.
function(scenario_test name)
  cmake_parse_arguments(arg "" "EXPECT" "FOLDERS;OUTSIDE" ${ARGN})
  set(files)
  foreach(folder ${arg_FOLDERS})
    list(APPEND files -f ${PROJECT_SOURCE_DIR}/policies/${folder})
  endforeach()
  add_test(NAME golden.scenario.${name}
    COMMAND sallyport explain --matrix ${files}
      --expect ${PROJECT_SOURCE_DIR}/policies/${arg_EXPECT}/expect.yaml
      --outside 203.0.113.9 2001:db8::9 ${arg_OUTSIDE})
  set_tests_properties(golden.scenario.${name} PROPERTIES LABELS golden TIMEOUT 60)
endfunction()
add_dependencies(tests-golden sallyport)

scenario_test(message-pipeline FOLDERS message-pipeline EXPECT message-pipeline
  OUTSIDE 130.211.3.255 130.211.4.0 35.191.0.1 198.51.100.22)
scenario_test(three-databases FOLDERS three-databases EXPECT three-databases)
# The other region's pods, and those of its load tests; the load balancer; the API server.
scenario_test(two-regions.eu-west9
  FOLDERS two-regions/base two-regions/eu-west9 EXPECT two-regions/eu-west9
  OUTSIDE 192.168.128.9 192.168.190.255 192.168.191.9 192.168.192.1 192.168.0.9 10.129.1.7
    10.130.0.7)
scenario_test(two-regions.us-east1
  FOLDERS two-regions/base two-regions/us-east1 EXPECT two-regions/us-east1
  OUTSIDE 192.168.0.9 192.168.62.255 192.168.63.9 192.168.64.1 192.168.128.9 10.130.1.7 10.129.0.7)
scenario_test(retro-board FOLDERS retro-board EXPECT retro-board OUTSIDE 198.51.100.31)
scenario_test(ledger FOLDERS ledger EXPECT ledger
  OUTSIDE 198.51.100.0 198.51.100.127 198.51.100.191 198.51.100.192 192.0.2.80)

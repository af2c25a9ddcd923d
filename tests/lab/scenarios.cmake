# SPDX-License-Identifier: Apache-2.0
# The scenarios of policies/, end to end: each pod, and the outside, tries each port of each other;
# what it finds must be what `explain` says and what the scenario's expect.yaml says.
function(scenario_matrix name cni)
  cmake_parse_arguments(arg "" "EXPECT" "FILES;OPTIONS" ${ARGN})
  set(files)
  foreach(file ${arg_FILES})
    list(APPEND files -f ${PROJECT_SOURCE_DIR}/policies/${file})
  endforeach()
  add_test(NAME lab.${name}.${cni}
    COMMAND sallyport lab test --name spt-${name}-${cni} --cni ${cni} --outside ${files}
      --expect ${PROJECT_SOURCE_DIR}/policies/${arg_EXPECT}/expect.yaml ${arg_OPTIONS})
  set_tests_properties(lab.${name}.${cni} PROPERTIES
    LABELS lab TIMEOUT 300)
endfunction()
add_dependencies(tests-lab sallyport sallyportd)

foreach(cni ptp bridge)
  scenario_matrix(three-databases ${cni} FILES three-databases EXPECT three-databases)
endforeach()
# In the load balancer's ranges, both partners, and somebody who is none.
scenario_matrix(message-pipeline ptp FILES message-pipeline EXPECT message-pipeline
  OPTIONS --outside-address 130.211.3.255 130.211.4.0 35.191.0.5 198.51.100.20 198.51.100.21)
scenario_matrix(retro-board bridge FILES retro-board EXPECT retro-board
  OPTIONS --outside-address 198.51.100.30 198.51.100.31 198.51.100.40 198.51.100.41)
# The database's three subnets, the load balancer's, and somebody who is in none.
scenario_matrix(ledger bridge FILES ledger EXPECT ledger
  OPTIONS --outside-address 198.51.100.20 198.51.100.84 198.51.100.148 198.51.100.200 192.0.2.80)

# scenarios/: what is more than a matrix. In the lab with its API server, through kubectl.
add_library(sallyport_scenario_fixture STATIC scenarios/scenario_fixture.cc)
target_link_libraries(sallyport_scenario_fixture
  PUBLIC sallyport_lab_fixture sallyport_crowd
  PRIVATE sallyport_options)
sallyport_precompile(sallyport_scenario_fixture)

foreach(area pipeline databases regions board ledger)
  sallyport_test(scenario-${area} LABEL lab
    SOURCES scenarios/${area}_test.cc
    DEPS sallyport_scenario_fixture
    COST 75 TIMEOUT 300)
endforeach()

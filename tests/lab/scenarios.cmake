# SPDX-License-Identifier: Apache-2.0
# The scenarios of policies/, end to end: each pod, and the outside, tries each port of each other;
# what it finds must be what `explain` says and what the scenario's expect.yaml says.
foreach(scenario three-databases)
  set(folder ${PROJECT_SOURCE_DIR}/policies/${scenario})
  foreach(cni ptp bridge)
    add_test(NAME lab.${scenario}.${cni}
      COMMAND sallyport lab test --name spt-${scenario}-${cni} --cni ${cni} --outside
        -f ${folder} --expect ${folder}/expect.yaml)
    set_tests_properties(lab.${scenario}.${cni} PROPERTIES
      LABELS lab TIMEOUT 300 RESOURCE_LOCK machine)
  endforeach()
endforeach()
add_dependencies(tests-lab sallyport sallyportd)

# SPDX-License-Identifier: Apache-2.0
add_library(sallyport_lab_fixture STATIC lab/lab_fixture.cc)
target_include_directories(sallyport_lab_fixture PUBLIC ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(sallyport_lab_fixture
  PUBLIC sallyport_lab sallyport_test_places GTest::gtest
  PRIVATE sallyport_options)
sallyport_precompile(sallyport_lab_fixture)
add_dependencies(sallyport_lab_fixture sallyport sallyportd)

foreach(area network life container server agents kubectl)
  sallyport_test(lab-${area} LABEL lab
    SOURCES lab/${area}_test.cc
    DEPS sallyport_lab_fixture sallyport_probe
    COST 45 TIMEOUT 300)
endforeach()
sallyport_test(lab-outage LABEL lab
  SOURCES lab/outage_test.cc
  DEPS sallyport_lab_fixture sallyport_cli
  COST 100 TIMEOUT 300)

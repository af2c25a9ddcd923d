# SPDX-License-Identifier: Apache-2.0
# What is deployed: the image from daemonset/, with the programs of this build, and everything that
# is applied or loaded beside it. The Debian packages below the image are fetched once a build
# folder.
set(image ${PROJECT_BINARY_DIR}/image)
add_test(NAME lab.image
  COMMAND ${PROJECT_SOURCE_DIR}/daemonset/build-image --binaries ${PROJECT_BINARY_DIR}
    --storage ${image}/storage --save ${image}/sallyport.tar)
set_tests_properties(lab.image PROPERTIES LABELS lab TIMEOUT 600 FIXTURES_SETUP image)
add_dependencies(tests-lab sallyport sallyportd)

sallyport_test(deploy LABEL lab
  SOURCES deploy/container.cc deploy/image_test.cc deploy/monitoring_test.cc
  DEPS sallyport_test_node sallyport_watch
  TIMEOUT 300)
set_tests_properties(lab.deploy PROPERTIES FIXTURES_REQUIRED image)
add_dependencies(lab_deploy sallyport)

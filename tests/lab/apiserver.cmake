# SPDX-License-Identifier: Apache-2.0
sallyport_test(apiserver LABEL lab
  SOURCES apiserver/kubectl_test.cc
  DEPS sallyport_apiserver sallyport_lab sallyport_kube
  TIMEOUT 300)
add_dependencies(lab_apiserver sallyport)

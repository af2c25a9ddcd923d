# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(cni_result SOURCES agent/cni_result_fuzz.cc DEPS sallyport_endpoint)

# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(cni_result SOURCES agent/cni_result_fuzz.cc DEPS sallyport_endpoint)
sallyport_fuzz(api_stream SOURCES agent/api_stream_fuzz.cc DEPS sallyport_watch)

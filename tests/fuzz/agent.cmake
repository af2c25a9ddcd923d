# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(cni_result SOURCES agent/cni_result_fuzz.cc DEPS sallyport_endpoint)
sallyport_fuzz(netlink SOURCES agent/netlink_fuzz.cc DEPS sallyport_endpoint)
sallyport_fuzz(api_stream SOURCES agent/api_stream_fuzz.cc DEPS sallyport_watch)
sallyport_fuzz(api_messages SOURCES agent/api_messages_fuzz.cc
  DEPS sallyport_watch nlohmann_json::nlohmann_json)
sallyport_fuzz(kubeconfig SOURCES agent/kubeconfig_fuzz.cc DEPS sallyport_kube)
sallyport_fuzz(config SOURCES agent/config_fuzz.cc DEPS sallyport_config)
sallyport_fuzz(web_request SOURCES agent/web_request_fuzz.cc DEPS sallyport_observe)
sallyport_fuzz(json_out SOURCES agent/json_out_fuzz.cc
  DEPS sallyport_observe nlohmann_json::nlohmann_json)
sallyport_fuzz(local_api SOURCES agent/local_api_fuzz.cc
  DEPS sallyport_control sallyport_test_places nlohmann_json::nlohmann_json)
# Of the dataplane only what reads events: the rest of it is the kernel's.
sallyport_fuzz(drop_event
  SOURCES agent/drop_event_fuzz.cc ${PROJECT_SOURCE_DIR}/agent/dataplane/flows.cc
  DEPS sallyport_control sallyport_test_places nlohmann_json::nlohmann_json)

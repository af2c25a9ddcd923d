# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(manifest SOURCES manifest_fuzz.cc DEPS sallyport_model)
sallyport_fuzz(json SOURCES json_fuzz.cc DEPS sallyport_model nlohmann_json::nlohmann_json)
sallyport_fuzz(plain_yaml SOURCES plain_yaml_fuzz.cc DEPS sallyport_model)
sallyport_fuzz(selector SOURCES selector_fuzz.cc DEPS sallyport_model)
sallyport_fuzz(cidr SOURCES cidr_fuzz.cc DEPS sallyport_net)
sallyport_fuzz(manifest_set SOURCES manifest_set_fuzz.cc DEPS sallyport_watch)

# SPDX-License-Identifier: Apache-2.0
sallyport_fuzz(manifest SOURCES model/manifest_fuzz.cc DEPS sallyport_model)
sallyport_fuzz(json SOURCES model/json_fuzz.cc DEPS sallyport_model nlohmann_json::nlohmann_json)
sallyport_fuzz(selector SOURCES model/selector_fuzz.cc DEPS sallyport_model)
sallyport_fuzz(cidr SOURCES model/cidr_fuzz.cc DEPS sallyport_net)
sallyport_fuzz(manifest_set SOURCES model/manifest_set_fuzz.cc DEPS sallyport_watch)

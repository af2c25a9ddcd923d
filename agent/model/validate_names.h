// SPDX-License-Identifier: Apache-2.0
// The Kubernetes rules for names, labels and port names (apimachinery's util/validation).
//
// Each returns what is wrong and what would be right, "" when nothing is.
#pragma once

#include <string>
#include <string_view>

namespace sallyport::model {

// RFC 1123 label: names of namespaces and containers.
std::string CheckDnsLabel(std::string_view text);
// RFC 1123 subdomain: names of pods, nodes and policies.
std::string CheckDnsSubdomain(std::string_view text);
// Label and annotation keys, finalizers: [prefix/]name.
std::string CheckQualifiedName(std::string_view text);
std::string CheckLabelValue(std::string_view text);
// IANA_SVC_NAME: names of ports.
std::string CheckPortName(std::string_view text);

}  // namespace sallyport::model

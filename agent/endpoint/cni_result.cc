// SPDX-License-Identifier: Apache-2.0
#include "endpoint/cni_result.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sallyport::endpoint {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostItems = 256;     // of any list in a result
constexpr size_t kLongestText = 4096;  // of any text that is used
constexpr size_t kLongestInterface = 15;

// The member's text; "" where it is absent, no text, or longer than anything sensible.
std::string Text(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return {};
  const auto& text = it->get_ref<const std::string&>();
  if (text.size() > kLongestText || text.find('\0') != std::string::npos) return {};
  return text;
}

const Json& List(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  if (!object.is_object()) return kEmpty;
  auto it = object.find(key);
  if (it == object.end() || !it->is_array() || it->size() > kMostItems) return kEmpty;
  return *it;
}

std::string Argument(const Json& file, std::string_view name) {
  for (const Json& pair : List(file, "cniArgs")) {
    if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string() &&
        pair[0].get_ref<const std::string&>() == name) {
      return pair[1].get<std::string>().substr(0, kLongestText);
    }
  }
  return {};
}

bool IsInterfaceName(const std::string& name) {
  return !name.empty() && name.size() <= kLongestInterface && name != "." && name != ".." &&
         name.find_first_of("/ \t\n\r\v\f:") == std::string::npos;
}

// "10.1.2.3/24" or "10.1.2.3"
void AddAddress(const std::string& text, std::vector<net::Address>& out) {
  auto address = net::Address::Parse(std::string_view(text).substr(0, text.find('/')));
  if (address) out.push_back(*address);
}

// An address belongs to the pod unless the result says that it stands on a host-side interface.
bool IsPods(const Json& ip, const Json& interfaces) {
  auto it = ip.find("interface");
  if (it == ip.end() || !it->is_number_integer()) return true;
  auto index = it->get<int64_t>();
  if (index < 0 || index >= static_cast<int64_t>(interfaces.size())) return true;
  return !Text(interfaces[static_cast<size_t>(index)], "sandbox").empty();
}

void ReadInterfaces(const Json& result, Claim& claim) {
  for (const Json& entry : List(result, "interfaces")) {
    std::string name = Text(entry, "name"), sandbox = Text(entry, "sandbox");
    if (!IsInterfaceName(name)) continue;
    if (sandbox.empty()) {
      claim.host_interfaces.push_back(name);
    } else if (name == claim.interface && claim.netns.empty()) {
      claim.netns = sandbox;
    }
  }
}

void ReadAddresses(const Json& result, Claim& claim) {
  for (const Json& ip : List(result, "ips")) {
    if (ip.is_object() && IsPods(ip, List(result, "interfaces"))) {
      AddAddress(Text(ip, "address"), claim.addresses);
    }
  }
  for (const char* family : {"ip4", "ip6"}) {  // CNI 0.2.0 and before
    if (auto it = result.find(family); it != result.end()) {
      AddAddress(Text(*it, "ip"), claim.addresses);
    }
  }
  std::sort(claim.addresses.begin(), claim.addresses.end());
  claim.addresses.erase(std::unique(claim.addresses.begin(), claim.addresses.end()),
                        claim.addresses.end());
}

}  // namespace

Result<std::optional<Claim>> ParseCniResult(std::string_view text) {
  if (text.empty()) return Error{"the file is empty: not written yet, or cut off by a crash"};
  if (text.size() > kLargestCniResult) return Error{"larger than 1 MiB: not a CNI result"};
  Json file = Json::parse(text, nullptr, false);
  if (file.is_discarded() || !file.is_object()) {
    return Error{"not complete JSON: half written, or not a CNI result"};
  }
  if (Text(file, "kind") != "cniCacheV1") {
    return Error{"kind is '" + Text(file, "kind") + "', not cniCacheV1"};
  }
  auto result = file.find("result");
  if (result == file.end() || !result->is_object()) return Error{"it has no result"};

  Claim claim{};
  claim.pod = {Argument(file, "K8S_POD_NAMESPACE"), Argument(file, "K8S_POD_NAME")};
  if (claim.pod.ns.empty() || claim.pod.name.empty()) return std::optional<Claim>();
  claim.uid = Argument(file, "K8S_POD_UID");
  claim.container = Text(file, "containerId");
  claim.interface = Text(file, "ifName");
  if (!IsInterfaceName(claim.interface)) return Error{"ifName is missing or no interface name"};
  claim.netns = Text(file, "netns");
  ReadInterfaces(*result, claim);
  ReadAddresses(*result, claim);
  return std::optional<Claim>(std::move(claim));
}

}  // namespace sallyport::endpoint

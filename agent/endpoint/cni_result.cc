// SPDX-License-Identifier: Apache-2.0
#include "endpoint/cni_result.h"

#include <algorithm>

#include "model/document.h"

namespace sallyport::endpoint {
namespace {

using model::Value;

constexpr size_t kMostItems = 256;     // of any list in a result
constexpr size_t kLongestText = 4096;  // of any text that is used
constexpr size_t kLongestInterface = 15;

// The member's text; "" where it is absent, no text, or longer than anything sensible.
std::string Text(const Value& object, std::string_view key) {
  const Value* value = object.Find(key);
  if (!value || !value->IsString() || value->text.size() > kLongestText ||
      value->text.find('\0') != std::string::npos) {
    return {};
  }
  return value->text;
}

const std::vector<Value>& List(const Value& object, std::string_view key) {
  static const std::vector<Value> kEmpty;
  const Value* value = object.Find(key);
  return value && value->items.size() <= kMostItems ? value->items : kEmpty;
}

std::string Argument(const Value& file, std::string_view name) {
  for (const Value& pair : List(file, "cniArgs")) {
    if (pair.items.size() == 2 && pair.items[0].IsString() && pair.items[1].IsString() &&
        pair.items[0].text == name) {
      return pair.items[1].text.substr(0, kLongestText);
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
bool IsPods(const Value& ip, const std::vector<Value>& interfaces) {
  const Value* index = ip.Find("interface");
  if (!index || index->type != Value::Type::kInteger) return true;
  if (index->integer < 0 || index->integer >= static_cast<int64_t>(interfaces.size())) return true;
  return !Text(interfaces[static_cast<size_t>(index->integer)], "sandbox").empty();
}

void ReadInterfaces(const Value& result, Claim& claim) {
  for (const Value& entry : List(result, "interfaces")) {
    std::string name = Text(entry, "name"), sandbox = Text(entry, "sandbox");
    if (!IsInterfaceName(name)) continue;
    if (sandbox.empty()) {
      claim.host_interfaces.push_back(name);
    } else if (name == claim.interface && claim.netns.empty()) {
      claim.netns = sandbox;
    }
  }
}

void ReadAddresses(const Value& result, Claim& claim) {
  for (const Value& ip : List(result, "ips")) {
    if (IsPods(ip, List(result, "interfaces"))) {
      AddAddress(Text(ip, "address"), claim.addresses);
    }
  }
  for (const char* family : {"ip4", "ip6"}) {  // CNI 0.2.0 and before
    if (const Value* old = result.Find(family)) AddAddress(Text(*old, "ip"), claim.addresses);
  }
  std::sort(claim.addresses.begin(), claim.addresses.end());
  claim.addresses.erase(std::unique(claim.addresses.begin(), claim.addresses.end()),
                        claim.addresses.end());
}

}  // namespace

Result<std::optional<Claim>> ParseCniResult(std::string_view text) {
  if (text.empty()) return Error{"the file is empty: not written yet, or cut off by a crash"};
  if (text.size() > kLargestCniResult) return Error{"larger than 1 MiB: not a CNI result"};
  model::ParsedText parsed = model::ParseText(text, "");
  bool whole = !parsed.unreadable && parsed.documents.size() == 1 &&
               parsed.documents[0].type == Value::Type::kMapping;
  if (!whole) return Error{"not complete JSON: half written, or not a CNI result"};
  const Value& file = parsed.documents[0];
  if (Text(file, "kind") != "cniCacheV1") {
    return Error{"kind is '" + Text(file, "kind") + "', not cniCacheV1"};
  }
  const Value* result = file.Find("result");
  if (!result || result->type != Value::Type::kMapping) return Error{"it has no result"};

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

// SPDX-License-Identifier: Apache-2.0
// Namespace and Node.
#include <algorithm>
#include <array>

#include "model/decode.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kNamespaceSpecFields = {"finalizers"};
const std::vector<std::string_view> kNodeSpecFields = {
    "configSource", "externalID", "podCIDR", "podCIDRs", "providerID", "taints", "unschedulable"};
const std::vector<std::string_view> kNodeStatusFields = {
    "addresses",       "allocatable",     "capacity",         "conditions",  "config",
    "daemonEndpoints", "features",        "declaredFeatures", "images",      "nodeInfo",
    "phase",           "runtimeHandlers", "volumesAttached",  "volumesInUse"};
const std::vector<std::string_view> kNodeAddressFields = {"address", "type"};
const std::vector<std::string_view> kNodeConditionFields = {
    "lastHeartbeatTime", "lastTransitionTime", "message", "reason", "status", "type"};

// spec.podCIDR is the first of spec.podCIDRs; where they differ the API server takes it alone.
std::vector<net::Cidr> DecodePodCidrs(const Cursor& spec) {
  std::vector<net::Cidr> cidrs;
  spec.Each("podCIDRs", [&](const Cursor& item) {
    if (auto cidr = DecodeCidr(item)) cidrs.push_back(*cidr);
  });
  if (!OnePerFamily(cidrs)) {
    spec.ErrorAt("podCIDRs", "may have no more than one CIDR for each IP family");
  }
  const std::string* single = spec.String("podCIDR");
  if (!single || single->empty()) return cidrs;
  std::optional<Cursor> at = spec.Child("podCIDR");
  auto cidr = DecodeCidr(*at);
  if (!cidr || (!cidrs.empty() && cidrs[0] == *cidr)) return cidrs;
  if (!cidrs.empty()) at->Warn("is not the first of podCIDRs: podCIDR is used alone");
  return {*cidr};
}

void AddOnce(const net::Address& address, std::vector<net::Address>& out) {
  if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
}

void DecodeNodeAddress(const Cursor& item, Node& out) {
  constexpr std::array<std::string_view, 3> kNames = {"Hostname", "InternalDNS", "ExternalDNS"};
  if (!item.IsMapping()) return;
  item.Known(kNodeAddressFields);
  const std::string* type = item.String("type");
  const std::string* address = item.String("address");
  if (!type && !item.Child("type")) item.ErrorAt("type", "is required");
  if (!address && !item.Child("address")) item.ErrorAt("address", "is required");
  if (!type || !address) return;
  if (*type != "InternalIP" && *type != "ExternalIP") {
    if (std::find(kNames.begin(), kNames.end(), *type) != kNames.end()) return;
    item.Child("type")->Warn(Quoted(*type) +
                             " is not known, the address is ignored: use InternalIP, ExternalIP, "
                             "Hostname, InternalDNS or ExternalDNS");
    return;
  }
  auto parsed = net::Address::Parse(*address);
  if (!parsed) {
    item.ErrorAt("address", parsed.error().message);
    return;
  }
  AddOnce(*parsed, out.addresses);
  if (*type == "InternalIP") AddOnce(*parsed, out.internal_addresses);
}

// Only Ready counts, and only True is good: "Unknown" is what a node that is silent is said to be.
void DecodeNodeCondition(const Cursor& item, Node& out) {
  if (!item.IsMapping()) return;
  item.Known(kNodeConditionFields);
  const std::string* type = item.String("type");
  const std::string* status = item.String("status");
  if (type && status && *type == "Ready") out.ready = *status == "True";
}

void DecodeNodeStatus(const Cursor& status, Node& out) {
  status.Known(kNodeStatusFields);
  status.Each("addresses", [&](const Cursor& item) { DecodeNodeAddress(item, out); });
  status.Each("conditions", [&](const Cursor& item) { DecodeNodeCondition(item, out); });
  if (auto info = status.Mapping("nodeInfo")) {
    if (const std::string* boot_id = info->String("bootID")) out.boot_id = *boot_id;
  }
}

}  // namespace

NamespacePtr DecodeNamespace(const Cursor& object, Meta meta) {
  object.Known(kObjectFields);
  if (auto spec = object.Mapping("spec")) spec->Known(kNamespaceSpecFields);
  object.Mapping("status");
  auto out = std::make_shared<Namespace>();
  out->name = meta.name.name;
  out->place = PlaceOf(object);
  const std::string* named = meta.labels.Find(kNamespaceNameLabel);
  if (named && *named != out->name) {
    std::optional<Cursor> at = object.Child("metadata");
    at->WarnAt("labels", std::string(kNamespaceNameLabel) +
                             " is always the namespace's name, not " + Quoted(*named));
  }
  std::vector<Labels::Entry> entries = meta.labels.entries();
  entries.emplace_back(kNamespaceNameLabel, out->name);
  out->labels = Labels(std::move(entries));
  return out;
}

NodePtr DecodeNode(const Cursor& object, Meta meta) {
  object.Known(kObjectFields);
  auto out = std::make_shared<Node>();
  out->name = meta.name.name;
  out->labels = std::move(meta.labels);
  out->place = PlaceOf(object);
  if (auto spec = object.Mapping("spec")) {
    spec->Known(kNodeSpecFields);
    out->pod_cidrs = DecodePodCidrs(*spec);
    out->unschedulable = spec->Bool("unschedulable").value_or(false);
  }
  if (auto status = object.Mapping("status")) DecodeNodeStatus(*status, *out);
  return out;
}

}  // namespace sallyport::model

// SPDX-License-Identifier: Apache-2.0
#include "gateway/lease_object.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/document.h"

namespace sallyport::gateway {
namespace {

using Json = nlohmann::ordered_json;
using model::Value;

constexpr const char* kPortsKey = "sallyport.io/ports";
constexpr const char* kBootKey = "sallyport.io/boot-id";
constexpr const char* kRenewedKey = "sallyport.io/renewed-ms";
constexpr const char* kExhaustedKey = "sallyport.io/exhausted-since";
constexpr const char* kOfPorts = "ports";
constexpr const char* kOfAddress = "address";

const Value* Part(const Value& tree, std::string_view key) { return tree.Find(key); }

std::string TextOf(const Value* tree, std::string_view key) {
  const Value* found = tree ? Part(*tree, key) : nullptr;
  return found && found->IsString() ? found->text : "";
}

int64_t NumberOf(const Value* tree, std::string_view key) {
  const Value* found = tree ? Part(*tree, key) : nullptr;
  return found && found->type == Value::Type::kInteger ? found->integer : 0;
}

std::map<std::string, std::string> TextsOf(const Value* tree, std::string_view key) {
  std::map<std::string, std::string> out;
  const Value* found = tree ? Part(*tree, key) : nullptr;
  if (!found) return out;
  for (const Value::Member& member : found->members) {
    if (member.second.IsString()) out[member.first] = member.second.text;
  }
  return out;
}

std::string At(const std::map<std::string, std::string>& texts, const std::string& key) {
  auto it = texts.find(key);
  return it == texts.end() ? "" : it->second;
}

template <typename Number>
std::optional<Number> Parse(std::string_view text) {
  Number out{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

egress::Millis DurationOf(const LeaseObject& lease) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return std::clamp<int64_t>(lease.duration_seconds, 0, kMost) * egress::kSecond;
}

Error NotUnderstood(const LeaseObject& lease, const std::string& what) {
  return Error{"Lease " + lease.name + " " + what +
               "; if no node holds it, delete it (kubectl delete lease " + lease.name + ")"};
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<LeaseObject> ReadLease(std::string_view json) {
  model::ParsedText parsed = model::ParseText(json, "Lease");
  if (parsed.unreadable || parsed.documents.size() != 1)
    return Error{"the server sends a Lease that is no JSON"};
  const Value& tree = parsed.documents[0];
  const Value* metadata = Part(tree, "metadata");
  const Value* spec = Part(tree, "spec");
  LeaseObject out;
  out.name = TextOf(metadata, "name");
  out.labels = TextsOf(metadata, "labels");
  out.annotations = TextsOf(metadata, "annotations");
  out.meta.uid = TextOf(metadata, "uid");
  out.meta.created = TextOf(metadata, "creationTimestamp");
  auto version = Parse<uint64_t>(TextOf(metadata, "resourceVersion"));
  if (out.name.empty() || out.meta.uid.empty() || !version)
    return Error{"the server sends a Lease" + (out.name.empty() ? "" : " " + out.name) +
                 " without a name, a uid or a version that is a number"};
  out.meta.version = *version;
  out.holder = TextOf(spec, "holderIdentity");
  out.meta.acquired = TextOf(spec, "acquireTime");
  out.renew_time = TextOf(spec, "renewTime");
  out.duration_seconds = NumberOf(spec, "leaseDurationSeconds");
  out.transitions = NumberOf(spec, "leaseTransitions");
  return out;
}

std::string WriteLease(const LeaseObject& lease, const std::string& ns) {
  Json metadata = {{"name", lease.name}, {"namespace", ns}};
  if (lease.meta.version != 0) metadata["resourceVersion"] = std::to_string(lease.meta.version);
  // With the uid a replacement never creates.
  if (!lease.meta.uid.empty()) metadata["uid"] = lease.meta.uid;
  if (!lease.labels.empty()) metadata["labels"] = lease.labels;
  if (!lease.annotations.empty()) metadata["annotations"] = lease.annotations;
  Json spec = {{"holderIdentity", lease.holder}, {"leaseTransitions", lease.transitions}};
  if (lease.duration_seconds > 0) spec["leaseDurationSeconds"] = lease.duration_seconds;
  const std::string& acquired =
      lease.meta.acquired.empty() ? lease.renew_time : lease.meta.acquired;
  if (!acquired.empty()) spec["acquireTime"] = acquired;
  if (!lease.renew_time.empty()) spec["renewTime"] = lease.renew_time;
  return Dump({{"apiVersion", "coordination.k8s.io/v1"},
               {"kind", "Lease"},
               {"metadata", metadata},
               {"spec", spec}});
}

std::string WriteDeletion(const egress::LeaseMeta& meta) {
  Json preconditions = {{"uid", meta.uid}, {"resourceVersion", std::to_string(meta.version)}};
  return Dump({{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"preconditions", preconditions}});
}

Result<egress::BlockLease> ToBlock(const LeaseObject& lease) {
  auto id = egress::ParseBlockName(lease.name);
  if (!id) return NotUnderstood(lease, "has a name that means no port block");
  auto size = Parse<int>(At(lease.annotations, kPortsKey));
  if (!size || *size <= 0 || *size > egress::kPorts - id->first)
    return NotUnderstood(lease, std::string("does not say in its annotation ") + kPortsKey +
                                    " how many ports it is for");
  egress::BlockLease out;
  out.id = *id;
  out.size = *size;
  out.holder = lease.holder;
  out.boot_id = At(lease.annotations, kBootKey);
  out.renewed = Parse<egress::Millis>(At(lease.annotations, kRenewedKey)).value_or(0);
  // Without the time it is not known that this boot wrote it.
  if (!lease.annotations.contains(kRenewedKey)) out.boot_id.clear();
  out.renew_time = lease.renew_time;
  out.duration = DurationOf(lease);
  out.exhausted_since = At(lease.annotations, kExhaustedKey);
  out.meta = lease.meta;
  return out;
}

Result<egress::AddressLease> ToAddress(const LeaseObject& lease) {
  auto address = egress::ParseAddressName(lease.name);
  if (!address) return NotUnderstood(lease, "has a name that means no egress IP");
  egress::AddressLease out;
  out.address = *address;
  out.holder = lease.holder;
  constexpr int64_t kMost = std::numeric_limits<uint32_t>::max();
  out.epoch = static_cast<uint32_t>(std::clamp<int64_t>(lease.transitions, 0, kMost));
  out.renew_time = lease.renew_time;
  out.duration = DurationOf(lease);
  out.meta = lease.meta;
  return out;
}

LeaseObject ToObject(const egress::BlockLease& lease) {
  LeaseObject out;
  out.name = egress::NameOf(lease.id);
  out.labels = {{kLeaseLabel, kOfPorts}, {"app.kubernetes.io/name", "sallyport"}};
  out.annotations = {{kPortsKey, std::to_string(lease.size)},
                     {kBootKey, lease.boot_id},
                     {kRenewedKey, std::to_string(lease.renewed)}};
  if (!lease.exhausted_since.empty()) out.annotations[kExhaustedKey] = lease.exhausted_since;
  out.holder = lease.holder;
  out.renew_time = lease.renew_time;
  out.duration_seconds = lease.duration / egress::kSecond;
  out.meta = lease.meta;
  return out;
}

LeaseObject ToObject(const egress::AddressLease& lease) {
  LeaseObject out;
  out.name = egress::NameOf(lease.address);
  out.labels = {{kLeaseLabel, kOfAddress}, {"app.kubernetes.io/name", "sallyport"}};
  out.holder = lease.holder;
  out.renew_time = lease.renew_time;
  out.duration_seconds = lease.duration / egress::kSecond;
  // The API's number has 31 bits; an epoch that has come so far stays there.
  constexpr uint32_t kMost = std::numeric_limits<int32_t>::max();
  out.transitions = std::min(lease.epoch, kMost);
  out.meta = lease.meta;
  return out;
}

egress::BlockLease ClosedBlock(const egress::BlockId& id, const LeaseObject& lease) {
  egress::BlockLease out;
  out.id = id;
  out.size = egress::kPorts - id.first;
  out.renew_time = lease.renew_time;
  out.duration = DurationOf(lease);
  out.meta = lease.meta;
  return out;
}

}  // namespace sallyport::gateway

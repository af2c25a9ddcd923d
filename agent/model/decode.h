// SPDX-License-Identifier: Apache-2.0
// One document to one object: decoding and the API's validation in one pass; internal to model/.
//
// Each decoder reports through its Cursor and returns what it could make of the object, which
// counts only if the report has not failed. The path and the wording follow the API server's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/cursor.h"
#include "model/objects.h"

namespace sallyport::model {

// metadata, as far as it is used.
struct Meta {
  ObjectName name;  // valid if the name and the namespace are; else empty
  std::string uid;
  std::string created;     // creationTimestamp as it stands, or ""
  int64_t generation = 0;  // 0: it does not say
  Labels labels;
};

struct MetaRules {
  bool namespaced = false;
  std::string (*check_name)(std::string_view) = nullptr;
};

// Also sets the object's name in the report.
Meta DecodeMeta(const Cursor& object, Kind kind, const MetaRules& rules,
                const std::string& default_namespace);

// meta/v1 LabelSelector at the cursor.
Selector DecodeSelector(const Cursor& at);
// That of the member `key`; nullopt where absent, which differs from empty.
std::optional<Selector> DecodeSelectorAt(const Cursor& parent, std::string_view key);

// What an object has at its top.
inline const std::vector<std::string_view> kObjectFields = {"apiVersion", "kind", "metadata",
                                                            "spec", "status"};

NamespacePtr DecodeNamespace(const Cursor& object, Meta meta);
NodePtr DecodeNode(const Cursor& object, Meta meta);
PodPtr DecodePod(const Cursor& object, Meta meta);
NetworkPolicyPtr DecodeNetworkPolicy(const Cursor& object, Meta meta);
ServicePtr DecodeService(const Cursor& object, Meta meta);
EndpointSlicePtr DecodeEndpointSlice(const Cursor& object, Meta meta);
EgressGatewayPtr DecodeEgressGateway(const Cursor& object, Meta meta);

// Where the object stands.
Place PlaceOf(const Cursor& object);
// The label map `key`, every key and value checked.
Labels DecodeLabels(const Cursor& parent, std::string_view key);
// A CIDR in a string; nullopt if it is none (reported).
std::optional<net::Cidr> DecodeCidr(const Cursor& at);
// 1..65535, else reported and 0.
uint16_t CheckPort(const Cursor& at, int64_t port);
// TCP, UDP or SCTP, else reported and TCP.
net::Protocol DecodeProtocol(const Cursor& at);
// No list of addresses or CIDRs has more than one of each IP family.
template <typename T>
bool OnePerFamily(const std::vector<T>& list) {
  return list.size() < 2 || (list.size() == 2 && list[0].IsV4() != list[1].IsV4());
}

}  // namespace sallyport::model

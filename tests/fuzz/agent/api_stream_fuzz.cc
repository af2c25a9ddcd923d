// SPDX-License-Identifier: Apache-2.0
// Whatever an API server streams, and however it is cut: lists and watches give the same objects
// for all pieces, what is decoded has a name, and a policy that is not understood allows nothing.
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "watch/json_stream.h"
#include "watch/object_decoder.h"
#include "watch/object_set.h"

namespace sallyport::watch {
namespace {

struct Seen {
  std::vector<std::string> items;
  bool whole = false;
  std::string version;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen ReadList(std::string_view text, size_t piece) {
  Seen out;
  ListSplitter splitter([&](std::string_view item) { out.items.emplace_back(item); });
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    if (!splitter.Feed(text.substr(0, piece))) return out;
  }
  auto position = splitter.Finish();
  out.whole = position.has_value();
  if (position) out.version = position->resource_version + "/" + position->continue_token;
  return out;
}

Seen ReadEvents(std::string_view text, size_t piece) {
  Seen out;
  EventSplitter splitter([&](std::string_view type, std::string_view object) {
    CHECK(!type.empty());
    out.items.emplace_back(object);
    return true;
  });
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    if (!splitter.Feed(text.substr(0, piece))) return out;
  }
  out.whole = !splitter.cut();
  return out;
}

void Decode(const std::string& object) {
  using model::Kind;
  for (Kind kind : {Kind::kNamespace, Kind::kNode, Kind::kPod, Kind::kService, Kind::kEndpointSlice,
                    Kind::kNetworkPolicy, Kind::kEgressGateway}) {
    DecodedObject decoded = DecodeObject(kind, object);
    CHECK(decoded.delta.has_value() != !decoded.errors.empty());
    CHECK(!decoded.delta || !decoded.name.name.empty());
  }
  auto closed = std::get<model::NetworkPolicyPtr>(ClosedPolicy({"n", "p"}, object).object);
  CHECK(closed->ingress.empty() && closed->egress.empty());
  auto pinned = std::get<model::EgressGatewayPtr>(ClosedGateway({"", "g"}, object).object);
  CHECK(pinned->egress_ips.empty() && pinned->name == "g");
}

// What is in force for a policy, or a gateway, is never nothing, once it was told of.
void Keep(model::Kind kind, const std::vector<std::string>& objects) {
  model::Snapshot snapshot;
  ObjectSet set(kind, [&](const ObjectUpdate& update) {
    for (const model::Delta& delta : update.deltas) snapshot.Apply(delta);
  });
  size_t most = 0;
  for (const std::string& object : objects) {
    set.Set(object);
    set.Flush();
    size_t now = snapshot.policies.size() + snapshot.egress_gateways.size();
    CHECK(now >= most);
    most = now;
  }
}

}  // namespace
}  // namespace sallyport::watch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::watch;
  if (size < 2) return 0;
  size_t piece = 1 + data[0] % 16;
  std::string_view text = sallyport::fuzz::Text(data + 1, size - 1);
  Seen list = ReadList(text, text.size()), events = ReadEvents(text, text.size());
  CHECK(ReadList(text, piece) == list);
  CHECK(ReadEvents(text, piece) == events);
  for (const std::string& object : list.items) Decode(object);
  for (const std::string& object : events.items) Decode(object);
  Decode(std::string(text));
  Keep(sallyport::model::Kind::kNetworkPolicy, list.items);
  Keep(sallyport::model::Kind::kEgressGateway, list.items);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "gateway/status_object.h"

#include <nlohmann/json.hpp>

namespace sallyport::gateway {
namespace {

using Tree = nlohmann::json;

constexpr size_t kMostMessage = 1024;  // bytes, of an Event; the API takes no more
constexpr size_t kMostConditionMessage = 32768;

std::string Write(const Tree& tree) {
  return tree.dump(-1, ' ', false, Tree::error_handler_t::replace);
}

// Not in the middle of a character.
std::string Shortened(const std::string& text, size_t most) {
  if (text.size() <= most) return text;
  size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string StringIn(const Tree& tree, const char* key) {
  if (!tree.is_object()) return "";
  auto it = tree.find(key);
  return it != tree.end() && it->is_string() ? it->get<std::string>() : "";
}

// The member; an empty one where there is none.
Tree In(const Tree& tree, const char* key) {
  if (!tree.is_object()) return {};
  auto it = tree.find(key);
  return it == tree.end() ? Tree() : *it;
}

// That of a list in which `key` is `value`; an empty one where there is none.
Tree Where(const Tree& list, const char* key, const std::string& value) {
  for (const Tree& item : list.is_array() ? list : Tree::array()) {
    if (StringIn(item, key) == value) return item;
  }
  return {};
}

Tree ConditionsOf(const GatewayStatus& wanted, const Tree& old, const std::string& now) {
  Tree out = Tree::array();
  for (const GatewayCondition& condition : wanted.conditions) {
    Tree before = Where(old, "type", condition.type);
    std::string since = StringIn(before, "lastTransitionTime");
    if (StringIn(before, "status") != condition.status || since.empty()) since = now;
    out.push_back({{"type", condition.type},
                   {"status", condition.status},
                   {"reason", condition.reason},
                   {"message", Shortened(condition.message, kMostConditionMessage)},
                   {"lastTransitionTime", since},
                   {"observedGeneration", wanted.generation}});
  }
  for (const Tree& other : old.is_array() ? old : Tree::array()) {
    if (Where(out, "type", StringIn(other, "type")).is_null()) out.push_back(other);
  }
  return out;
}

Tree AddressesIn(const GatewayStatus& wanted, const Tree& old, const std::string& now) {
  Tree out = Tree::array();
  for (const GatewayAddress& address : wanted.addresses) {
    Tree one = {{"ip", address.ip}};
    if (!address.node.empty()) {
      Tree before = Where(old, "ip", address.ip);
      std::string since = StringIn(before, "since");
      if (StringIn(before, "node") != address.node || since.empty()) since = now;
      one["node"] = address.node;
      one["since"] = since;
    }
    out.push_back(one);
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> StatusPatch(const GatewayStatus& wanted, std::string_view object,
                                               const std::string& now) {
  Tree tree = Tree::parse(object, nullptr, /*allow_exceptions=*/false);
  std::string version = StringIn(In(tree, "metadata"), "resourceVersion");
  if (version.empty()) return Error{"EgressGateway " + wanted.name + " has no resourceVersion"};
  Tree old = In(tree, "status");
  Tree spoke_of = In(old, "observedGeneration");
  if (spoke_of.is_number_integer() && spoke_of.get<int64_t>() > wanted.generation)
    return std::optional<std::string>();
  Tree status = {{"observedGeneration", wanted.generation},
                 {"conditions", ConditionsOf(wanted, In(old, "conditions"), now)},
                 {"addresses", AddressesIn(wanted, In(old, "addresses"), now)}};
  if (old == status) return std::optional<std::string>();
  return std::optional(Write({{"metadata", {{"resourceVersion", version}}}, {"status", status}}));
}

std::string EventObject(const GatewayEvent& event, const EventCount& times, const std::string& name,
                        const std::string& node) {
  Tree about = {
      {"apiVersion", "sallyport.io/v1alpha1"}, {"kind", "EgressGateway"}, {"name", event.gateway}};
  if (!event.uid.empty()) about["uid"] = event.uid;
  return Write({{"apiVersion", "v1"},
                {"kind", "Event"},
                {"metadata", {{"name", name}, {"namespace", "default"}}},
                {"involvedObject", about},
                {"type", event.warning ? "Warning" : "Normal"},
                {"reason", event.reason},
                {"message", Shortened(event.message, kMostMessage)},
                {"count", times.count},
                {"firstTimestamp", times.first},
                {"lastTimestamp", times.last},
                {"source", {{"component", "sallyport"}, {"host", node}}},
                {"reportingComponent", "sallyport"},
                {"reportingInstance", node}});
}

std::string EventPatch(const GatewayEvent& event, const EventCount& times) {
  return Write({{"message", Shortened(event.message, kMostMessage)},
                {"count", times.count},
                {"lastTimestamp", times.last}});
}

}  // namespace sallyport::gateway

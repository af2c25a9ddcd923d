// SPDX-License-Identifier: Apache-2.0
// NetworkPolicy and the selectors in it.
#include <algorithm>

#include "model/decode.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kPolicySpecFields = {"podSelector", "policyTypes", "ingress",
                                                         "egress"};
const std::vector<std::string_view> kPolicyPortFields = {"protocol", "port", "endPort"};
const std::vector<std::string_view> kPeerFields = {"podSelector", "namespaceSelector", "ipBlock"};
const std::vector<std::string_view> kBlockFields = {"cidr", "except"};
const std::vector<std::string_view> kSelectorFields = {"matchLabels", "matchExpressions"};
const std::vector<std::string_view> kExpressionFields = {"key", "operator", "values"};

// What differs between the two directions.
struct Direction {
  std::string_view type;   // in policyTypes
  std::string_view rules;  // in spec
  std::string_view peers;  // in a rule
  std::vector<std::string_view> fields;
};
const Direction kIngress = {"Ingress", "ingress", "from", {"from", "ports"}};
const Direction kEgress = {"Egress", "egress", "to", {"to", "ports"}};

std::optional<Operator> ParseOperator(const std::string& text) {
  if (text == "In") return Operator::kIn;
  if (text == "NotIn") return Operator::kNotIn;
  if (text == "Exists") return Operator::kExists;
  if (text == "DoesNotExist") return Operator::kDoesNotExist;
  return std::nullopt;
}

void DecodeOperator(const Cursor& item, Requirement& out) {
  const std::string* text = item.String("operator");
  if (!text && item.Child("operator")) return;
  std::optional<Operator> op = text ? ParseOperator(*text) : std::nullopt;
  if (!op) {
    item.ErrorAt("operator", (text ? Quoted(*text) + " must be" : std::string("is required:")) +
                                 " one of In, NotIn, Exists, DoesNotExist");
    return;
  }
  out.op = *op;
  bool needs_values = *op == Operator::kIn || *op == Operator::kNotIn;
  // One of another type is reported where the values are read.
  std::optional<Cursor> values = item.Child("values");
  bool has_values = values && !values->value().items.empty();
  bool missing = !values || (values->value().type == Value::Type::kSequence && !has_values);
  if (needs_values && missing) {
    item.ErrorAt("values", "is required when operator is In or NotIn");
  } else if (!needs_values && has_values) {
    item.ErrorAt("values", "is not allowed when operator is Exists or DoesNotExist");
  }
}

Requirement DecodeExpression(const Cursor& item) {
  Requirement out;
  if (!item.IsMapping()) return out;
  item.Known(kExpressionFields);
  if (const std::string* key = item.String("key")) {
    out.key = *key;
    if (std::string wrong = CheckQualifiedName(*key); !wrong.empty()) {
      item.ErrorAt("key", Quoted(*key) + ": " + wrong);
    }
  } else if (!item.Child("key")) {
    item.ErrorAt("key", "is required");
  }
  DecodeOperator(item, out);
  item.Each("values", [&](const Cursor& value) {
    if (!value.IsString()) return;
    if (std::string wrong = CheckLabelValue(value.text()); !wrong.empty()) {
      value.Error(Quoted(value.text()) + " " + wrong);
    }
    out.values.push_back(value.text());
  });
  return out;
}

IpBlock DecodeIpBlock(const Cursor& at) {
  IpBlock out;
  at.Known(kBlockFields);
  std::optional<Cursor> text = at.Child("cidr");
  if (!text) {
    at.ErrorAt("cidr", "is required, such as 10.0.0.0/8");
    return out;
  }
  std::optional<net::Cidr> cidr = DecodeCidr(*text);
  if (cidr) out.cidr = *cidr;
  at.Each("except", [&](const Cursor& item) {
    std::optional<net::Cidr> hole = DecodeCidr(item);
    if (!hole || !cidr) return;
    if (!cidr->Contains(*hole) || *cidr == *hole) {
      item.Error(hole->ToString() + " must lie within cidr " + cidr->ToString() +
                 " and be smaller than it");
    } else if (std::find(out.except.begin(), out.except.end(), *hole) != out.except.end()) {
      item.Warn(hole->ToString() + " is listed already");
    } else {
      out.except.push_back(*hole);
    }
  });
  std::sort(out.except.begin(), out.except.end());
  return out;
}

Peer DecodePeer(const Cursor& item) {
  PodPeer pods;
  if (!item.IsMapping()) return pods;
  item.Known(kPeerFields);
  pods.namespaces = DecodeSelectorAt(item, "namespaceSelector");
  pods.pods = DecodeSelectorAt(item, "podSelector");
  bool selects = item.Child("namespaceSelector") || item.Child("podSelector");
  if (!item.Child("ipBlock")) {
    if (!selects) item.Error("must have a podSelector, a namespaceSelector, both, or an ipBlock");
    return pods;
  }
  if (selects) {
    item.Error("may not have both an ipBlock and a selector: make them two items of the list");
  }
  std::optional<Cursor> block = item.Mapping("ipBlock");
  return block ? DecodeIpBlock(*block) : IpBlock{};
}

void DecodeEndPort(const Cursor& item, PolicyPort& out) {
  std::optional<int64_t> last = item.Integer("endPort");
  if (!last) return;
  auto* range = std::get_if<net::PortRange>(&out.port);
  if (!range) {
    bool named = std::holds_alternative<std::string>(out.port);
    item.ErrorAt("endPort", named ? "is not allowed when port is a name: port must be a number"
                                  : "is not allowed without port, the first of the range");
    return;
  }
  std::optional<Cursor> at = item.Child("endPort");
  uint16_t valid = CheckPort(*at, *last);
  if (valid != 0 && valid < range->first) {
    at->Error(std::to_string(valid) + " must not be less than port, " +
              std::to_string(range->first));
  }
  range->last = valid;
}

// A number, or the name of a container port.
void DecodePort(const Cursor& at, PolicyPort& out) {
  const Value& value = at.value();
  if (value.type == Value::Type::kInteger) {
    uint16_t port = CheckPort(at, value.integer);
    out.port = net::PortRange{port, port};
  } else if (value.IsString()) {
    bool number =
        !value.text.empty() && value.text.find_first_not_of("0123456789") == std::string::npos;
    if (std::string wrong = CheckPortName(value.text); !wrong.empty()) {
      at.Error(Quoted(value.text) +
               (number ? " in quotes is a port's name, not its number: leave the quotes out"
                       : ": a port's name " + wrong));
    }
    out.port = value.text;
  } else {
    at.Error("must be a port number or the name of a container port");
  }
}

PolicyPort DecodePolicyPort(const Cursor& item) {
  PolicyPort out;
  if (!item.IsMapping()) return out;
  item.Known(kPolicyPortFields);
  if (auto protocol = item.Child("protocol")) out.protocol = DecodeProtocol(*protocol);
  if (auto port = item.Child("port")) DecodePort(*port, out);
  DecodeEndPort(item, out);
  return out;
}

std::vector<Rule> DecodeRules(const Cursor& spec, const Direction& direction) {
  std::vector<Rule> out;
  spec.Each(direction.rules, [&](const Cursor& item) {
    Rule rule;
    if (!item.IsMapping()) return;
    item.Known(direction.fields);
    rule.line = item.line();
    item.Each(direction.peers, [&](const Cursor& peer) { rule.peers.push_back(DecodePeer(peer)); });
    item.Each("ports", [&](const Cursor& port) { rule.ports.push_back(DecodePolicyPort(port)); });
    out.push_back(std::move(rule));
  });
  return out;
}

// "If this field is not specified, it will default based on the existence of ingress or egress
// rules; policies that contain an egress section are assumed to affect egress, and all policies
// (whether or not they contain an ingress section) are assumed to affect ingress."
void DecodePolicyTypes(const Cursor& spec, NetworkPolicy& out) {
  std::vector<std::string> types;
  spec.Each("policyTypes", [&](const Cursor& item) {
    if (!item.IsString()) return;
    types.push_back(item.text());
    if (item.text() != kIngress.type && item.text() != kEgress.type) {
      item.Error(Quoted(item.text()) + " must be Ingress or Egress");
    }
  });
  if (types.size() > 2) spec.ErrorAt("policyTypes", "may not have more than two items");
  if (types.empty()) {
    out.isolates_ingress = true;
    out.isolates_egress = !out.egress.empty();
    return;
  }
  auto has = [&](const Direction& direction) {
    return std::find(types.begin(), types.end(), direction.type) != types.end();
  };
  out.isolates_ingress = has(kIngress);
  out.isolates_egress = has(kEgress);
}

// Rules of a direction that policyTypes leaves out say nothing; hardly what was meant.
void WarnOfIdleRules(const Cursor& spec, const Direction& direction, bool isolates,
                     const std::vector<Rule>& rules) {
  if (isolates || rules.empty()) return;
  spec.Child(direction.rules)
      ->Warn("has no effect: policyTypes does not have " + std::string(direction.type));
}

// What the policy says of connections that it does not allow any more. Anything but "keep" is only
// warned about: an error would hold up the spec for a typing mistake, and cutting is the safe side.
bool DecodeEstablished(const Cursor& object) {
  std::optional<Cursor> meta = object.Child("metadata");
  std::optional<Cursor> annotations = meta ? meta->Child("annotations") : std::nullopt;
  if (!annotations || !annotations->IsMapping()) return false;
  for (const auto& [key, value] : annotations->value().members) {
    if (!key.starts_with("sallyport.io/") || key == kEstablished) continue;
    annotations->WarnAt(
        key, "has no effect: the annotation that Sallyport knows is " + std::string(kEstablished));
  }
  const Value* value = annotations->value().Find(kEstablished);
  if (!value || !value->IsString()) return false;  // of another type: that is reported
  if (value->text == "keep") return true;
  annotations->WarnAt(
      kEstablished,
      "has no effect: \"keep\" is the one value that it may have, not " + Quoted(value->text));
  return false;
}

}  // namespace

Selector DecodeSelector(const Cursor& at) {
  std::vector<Requirement> requirements;
  at.Known(kSelectorFields);
  const Labels labels = DecodeLabels(at, "matchLabels");
  for (const auto& [key, value] : labels.entries()) {
    requirements.push_back({key, Operator::kIn, {value}});
  }
  at.Each("matchExpressions",
          [&](const Cursor& item) { requirements.push_back(DecodeExpression(item)); });
  return Selector(std::move(requirements));
}

std::optional<Selector> DecodeSelectorAt(const Cursor& parent, std::string_view key) {
  std::optional<Cursor> at = parent.Mapping(key);
  if (!at) return std::nullopt;
  return DecodeSelector(*at);
}

NetworkPolicyPtr DecodeNetworkPolicy(const Cursor& object, Meta meta) {
  object.Known(kObjectFields);
  auto out = std::make_shared<NetworkPolicy>();
  out->name = std::move(meta.name);
  out->place = PlaceOf(object);
  out->keeps_established = DecodeEstablished(object);
  // The API server takes a policy without a spec for one with an empty spec.
  static const Value empty_spec = [] {
    Value value;
    value.type = Value::Type::kMapping;
    return value;
  }();
  std::optional<Cursor> spec = object.Mapping("spec");
  if (!spec) {
    if (!object.Child("spec")) {
      object.WarnAt("spec",
                    "is missing: the policy denies all ingress to every pod of its "
                    "namespace; write a podSelector to say whom it is for");
    }
    spec = Cursor(empty_spec, object.report());
  } else if (!spec->value().Find("podSelector")) {
    spec->WarnAt("podSelector",
                 "is missing: the policy selects every pod of its namespace; write "
                 "podSelector: {} to say so");
  }
  spec->Known(kPolicySpecFields);
  if (auto pods = DecodeSelectorAt(*spec, "podSelector")) out->pods = std::move(*pods);
  out->ingress = DecodeRules(*spec, kIngress);
  out->egress = DecodeRules(*spec, kEgress);
  DecodePolicyTypes(*spec, *out);
  WarnOfIdleRules(*spec, kIngress, out->isolates_ingress, out->ingress);
  WarnOfIdleRules(*spec, kEgress, out->isolates_egress, out->egress);
  return out;
}

}  // namespace sallyport::model

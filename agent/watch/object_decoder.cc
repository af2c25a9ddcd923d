// SPDX-License-Identifier: Apache-2.0
#include "watch/object_decoder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "model/manifest.h"
#include "watch/json_stream.h"

namespace sallyport::watch {
namespace {

using model::Kind;

// Which members of a mapping (or of each mapping in a list) are used.
struct Shape {
  struct Field {
    std::string_view key;
    const Shape* shape = nullptr;  // of its value; none: it is kept as it is
  };
  std::vector<Field> fields;
  // Another member is a mistake that must be told, not something to leave out.
  bool exact = false;
};

const Shape kMeta = {{{"name"}, {"namespace"}, {"uid"}, {"labels"}}};

// A policy's own annotations.
const Shape kAnnotations = {{{model::kEstablished}}};
const Shape kPolicyMeta = {
    {{"name"}, {"namespace"}, {"uid"}, {"labels"}, {"annotations", &kAnnotations}}};

const Shape kNamespace = {{{"metadata", &kMeta}}};

const Shape kNodeSpec = {{{"podCIDR"}, {"podCIDRs"}, {"unschedulable"}}};
const Shape kNodeCondition = {{{"type"}, {"status"}}};
const Shape kNodeInfo = {{{"bootID"}}};
const Shape kNodeStatus = {
    {{"addresses"}, {"conditions", &kNodeCondition}, {"nodeInfo", &kNodeInfo}}};
const Shape kNode = {{{"metadata", &kMeta}, {"spec", &kNodeSpec}, {"status", &kNodeStatus}}};

const Shape kContainer = {{{"name"}, {"ports"}, {"restartPolicy"}}};
const Shape kPodSpec = {
    {{"nodeName"}, {"hostNetwork"}, {"containers", &kContainer}, {"initContainers", &kContainer}}};
const Shape kPodStatus = {{{"phase"}, {"podIP"}, {"podIPs"}}};
const Shape kPod = {{{"metadata", &kMeta}, {"spec", &kPodSpec}, {"status", &kPodStatus}}};

const Shape kExpression = {{{"key"}, {"operator"}, {"values"}}, true};
const Shape kSelector = {{{"matchLabels"}, {"matchExpressions", &kExpression}}, true};
const Shape kBlock = {{{"cidr"}, {"except"}}, true};
const Shape kPeer = {
    {{"podSelector", &kSelector}, {"namespaceSelector", &kSelector}, {"ipBlock", &kBlock}}, true};
const Shape kPort = {{{"protocol"}, {"port"}, {"endPort"}}, true};
const Shape kIngressRule = {{{"from", &kPeer}, {"ports", &kPort}}, true};
const Shape kEgressRule = {{{"to", &kPeer}, {"ports", &kPort}}, true};
const Shape kPolicySpec = {{{"podSelector", &kSelector},
                            {"policyTypes"},
                            {"ingress", &kIngressRule},
                            {"egress", &kEgressRule}},
                           true};
const Shape kPolicy = {{{"metadata", &kPolicyMeta}, {"spec", &kPolicySpec}}};
// What says whom a policy is for, and in which directions.
const Shape kPolicyTarget = {{{"podSelector", &kSelector}, {"policyTypes"}}};
const Shape kPolicyTargetOnly = {{{"metadata", &kMeta}, {"spec", &kPolicyTarget}}};

const Shape kGatewayMeta = {
    {{"name"}, {"namespace"}, {"uid"}, {"creationTimestamp"}, {"generation"}}};
const Shape kGatewayPods = {{{"namespaceSelector", &kSelector}, {"podSelector", &kSelector}}, true};
const Shape kDestinations = {{{"cidrs"}, {"except"}}, true};
const Shape kGatewayNodes = {{{"nodeSelector", &kSelector}, {"interface"}}, true};
const Shape kGatewaySpec = {{{"egressIPs"},
                             {"pods", &kGatewayPods},
                             {"destinations", &kDestinations},
                             {"gateways", &kGatewayNodes},
                             {"portBlockSize"}},
                            true};
const Shape kGateway = {{{"metadata", &kGatewayMeta}, {"spec", &kGatewaySpec}}};

const Shape kService = {{{"metadata", &kMeta}, {"spec"}, {"status"}}};
const Shape kSlice = {{{"metadata", &kMeta}, {"addressType"}, {"endpoints"}, {"ports"}}};

const Shape& ShapeOf(Kind kind) {
  switch (kind) {
    case Kind::kNamespace:
      return kNamespace;
    case Kind::kNode:
      return kNode;
    case Kind::kPod:
      return kPod;
    case Kind::kService:
      return kService;
    case Kind::kEndpointSlice:
      return kSlice;
    case Kind::kEgressGateway:
      return kGateway;
    default:
      return kPolicy;
  }
}

std::string_view ApiVersion(Kind kind) {
  if (kind == Kind::kNetworkPolicy) return "networking.k8s.io/v1";
  if (kind == Kind::kEgressGateway) return "sallyport.io/v1alpha1";
  return kind == Kind::kEndpointSlice ? "discovery.k8s.io/v1" : "v1";
}

// Copies what a shape wants. Shapes are some levels deep at most, and so is the recursion, but for
// lists in lists, which no shape has.
class Pruner {
 public:
  // Where the value that begins at text[at] ends; 0 where it is not well-formed.
  size_t Copy(std::string_view text, size_t at, const Shape& shape, const std::string& path) {
    const char open = at < text.size() ? text[at] : 0;
    if (open != '{' && open != '[') return CopyWhole(text, at);
    out_ += open;
    bool first = true;
    int index = 0;
    size_t end = WalkMembers(text, at, [&](std::string_view key, size_t value) {
      if (open == '{') return CopyMember(text, key, value, shape, path, first);
      Separate(first);
      if (value < text.size() && text[value] == '[') return CopyWhole(text, value);
      std::string item = shape.exact ? path + "[" + std::to_string(index++) + "]" : std::string();
      return Copy(text, value, shape, item);
    });
    out_ += open == '{' ? '}' : ']';
    return end;
  }

  std::string& out() { return out_; }
  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  void Separate(bool& first) {
    if (!std::exchange(first, false)) out_ += ',';
  }

  size_t CopyWhole(std::string_view text, size_t at) {
    size_t end = EndOfValue(text, at);
    if (end > 0) out_ += text.substr(at, end - at);
    return end;
  }

  size_t CopyMember(std::string_view text, std::string_view key, size_t value, const Shape& shape,
                    const std::string& path, bool& first) {
    auto field = std::find_if(shape.fields.begin(), shape.fields.end(),
                              [&](const Shape::Field& f) { return f.key == key; });
    bool known = field != shape.fields.end();
    if (!known && shape.exact) unknown_.push_back(path + "." + std::string(key));
    // A key with escapes may mean one that is used: the decoder will know.
    if (!known && key.find('\\') == std::string_view::npos) return EndOfValue(text, value);
    Separate(first);
    out_.append("\"").append(key).append("\":");
    if (!known || !field->shape) return CopyWhole(text, value);
    std::string inner =
        field->shape->exact ? (path.empty() ? "" : path + ".") + std::string(key) : std::string();
    return Copy(text, value, *field->shape, inner);
  }

  std::string out_;
  std::vector<std::string> unknown_;
};

model::Diagnostic Problem(Kind kind, const model::ObjectName& name, std::string field,
                          std::string message) {
  std::string object =
      model::ToString(kind) + (name.name.empty() ? std::string() : " " + name.ToString());
  return {model::Severity::kError, {}, std::move(object), std::move(field), std::move(message)};
}

DecodedObject Decode(Kind kind, std::string_view object, const Shape& shape) {
  DecodedObject out;
  Pruner pruner;
  std::string& text = pruner.out();
  bool formed = pruner.Copy(object, 0, shape, "") == object.size();
  if (!formed || text.size() < 2 || text.front() != '{') {
    out.name = ReadName(object);
    out.errors.push_back(Problem(kind, out.name, "",
                                 object.empty() ? "is too large, or nested too deep, to be read"
                                                : "is not well-formed JSON"));
    return out;
  }
  std::string head = "{\"apiVersion\":\"" + std::string(ApiVersion(kind)) + "\",\"kind\":\"" +
                     model::ToString(kind) + (text.size() > 2 ? "\"," : "\"");
  text.replace(0, 1, head);
  model::Manifest manifest = model::ReadManifest(text, "");
  for (model::Diagnostic& diagnostic : manifest.diagnostics) {
    if (diagnostic.severity == model::Severity::kError) {
      out.errors.push_back(std::move(diagnostic));
    } else if (kind == Kind::kEgressGateway ||
               diagnostic.field.find(model::kEstablished) != std::string::npos) {
      out.warnings.push_back(std::move(diagnostic));
    }
  }
  if (!manifest.objects.empty()) {
    out.name = manifest.objects.front().name;
    out.delta = std::move(manifest.objects.front());
  } else {
    out.name = manifest.broken.empty() ? ReadName(object) : manifest.broken.front().second;
  }
  for (const std::string& path : pruner.unknown()) {
    out.delta.reset();
    out.errors.push_back(
        Problem(kind, out.name, path,
                "is a field that this version of Sallyport does not know: it may "
                "narrow what " +
                    std::string(kind == Kind::kEgressGateway ? "the gateway is for"
                                                             : "the policy allows")));
  }
  return out;
}

// Whether a policy without policyTypes has rules for egress.
bool HasEgress(std::string_view object) {
  bool has = false;
  EachMember(object, [&](std::string_view key, std::string_view spec) {
    if (key != "spec") return;
    EachMember(spec, [&](std::string_view field, std::string_view value) {
      bool any = false;
      if (field != "egress") return;
      bool formed = EachMember(value, [&](std::string_view, std::string_view) { any = true; });
      has |= any || (!formed && value != "null");
    });
  });
  return has;
}

// What `object` has at `spec.*path`, as it stands; "" where there is nothing, or null.
std::string SpecPart(std::string_view object, std::initializer_list<std::string_view> path) {
  std::string part;
  EachMember(object, [&](std::string_view key, std::string_view value) {
    if (key == "spec") part = value;
  });
  for (std::string_view wanted : path) {
    std::string inner;
    EachMember(part, [&](std::string_view key, std::string_view value) {
      if (key == wanted && value != "null") inner = value;
    });
    part = std::move(inner);
  }
  return part;
}

// A gateway that has nothing of its own but these two parts of a spec; nullptr if they are not
// understood.
model::EgressGatewayPtr GatewayWith(const std::string& pods, const std::string& destinations) {
  std::string text = R"({"metadata":{"name":"a"},"spec":{"egressIPs":["192.0.2.1"],"pods":)" +
                     (pods.empty() ? "{}" : pods) + R"(,"destinations":)" +
                     (destinations.empty() ? "{}" : destinations) +
                     R"(,"gateways":{"nodeSelector":{}}}})";
  DecodedObject decoded = Decode(Kind::kEgressGateway, text, kGateway);
  if (!decoded.delta) return nullptr;
  return std::get<model::EgressGatewayPtr>(decoded.delta->object);
}

// Each alone: what one narrows counts, whatever the other is.
void ReadTarget(std::string_view object, model::EgressGateway& out) {
  for (const char* key : {"namespaceSelector", "podSelector"}) {
    std::string selector = SpecPart(object, {"pods", key});
    if (selector.empty()) continue;
    auto known = GatewayWith("{\"" + std::string(key) + "\":" + selector + "}", "");
    if (known && known->namespaces) out.namespaces = known->namespaces;
    if (known && known->pods) out.pods = known->pods;
  }
}

// Those of a field that is not known may be any.
void ReadDestinations(std::string_view object, model::EgressGateway& out) {
  std::string all = SpecPart(object, {"destinations"});
  if (all.empty()) return;
  model::EgressGatewayPtr known = GatewayWith("", all);
  bool only_ours = true;
  bool formed = EachMember(all, [&](std::string_view key, std::string_view) {
    only_ours &= key == "cidrs" || key == "except";
  });
  std::string cidrs = SpecPart(object, {"destinations", "cidrs"});
  if (!known && formed && only_ours && !cidrs.empty()) {
    known = GatewayWith("", "{\"cidrs\":" + cidrs + "}");
  }
  if (!known) return;
  out.destinations = known->destinations;
  out.except = known->except;
}

}  // namespace

DecodedObject DecodeObject(Kind kind, std::string_view object) {
  return Decode(kind, object, ShapeOf(kind));
}

model::ObjectName ReadName(std::string_view object) {
  model::ObjectName out;
  EachMember(object, [&](std::string_view key, std::string_view metadata) {
    if (key != "metadata") return;
    EachMember(metadata, [&](std::string_view field, std::string_view value) {
      if (field == "name") out.name = PlainString(value);
      if (field == "namespace") out.ns = PlainString(value);
    });
  });
  return out;
}

model::Delta ClosedPolicy(const model::ObjectName& name, std::string_view object) {
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = name;
  policy->isolates_ingress = policy->isolates_egress = true;
  DecodedObject target = Decode(Kind::kNetworkPolicy, object, kPolicyTargetOnly);
  if (!target.delta) return model::Delta::Set(model::NetworkPolicyPtr(std::move(policy)));
  const auto& known = *std::get<model::NetworkPolicyPtr>(target.delta->object);
  policy->pods = known.pods;
  policy->isolates_ingress = known.isolates_ingress;
  policy->isolates_egress = known.isolates_egress || HasEgress(object);
  return model::Delta::Set(model::NetworkPolicyPtr(std::move(policy)));
}

model::Delta ClosedGateway(const model::ObjectName& name, std::string_view object) {
  auto gateway = std::make_shared<model::EgressGateway>();
  gateway->name = name.name;
  EachMember(object, [&](std::string_view key, std::string_view metadata) {
    if (key != "metadata") return;
    EachMember(metadata, [&](std::string_view field, std::string_view value) {
      if (field == "uid") gateway->uid = PlainString(value);
      if (field == "creationTimestamp") gateway->created = PlainString(value);
    });
  });
  ReadTarget(object, *gateway);
  ReadDestinations(object, *gateway);
  return model::Delta::Set(model::EgressGatewayPtr(std::move(gateway)));
}

}  // namespace sallyport::watch

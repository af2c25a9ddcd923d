// SPDX-License-Identifier: Apache-2.0
#include "lab/endpoint_slices.h"

#include <algorithm>
#include <set>
#include <utility>

#include "lab/cluster.h"
#include "lab/selector.h"
#include "lab/workload_names.h"
#include "net/address.h"

namespace sallyport::lab {
namespace {

constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";
constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";

// Endpoints of one family that have the same ports: what can share a slice.
struct Group {
  std::string family;  // addressType
  Value ports;
  std::map<std::string, Value> endpoints;  // by EndpointKey
};

// The same pod with the same address is the same endpoint, whatever became of it.
std::string EndpointKey(const Value& endpoint) {
  std::vector<std::string> addresses = Texts(endpoint.Find("addresses"));
  return TextAt(endpoint, {"targetRef", "name"}) + " " +
         (addresses.empty() ? "" : addresses.front());
}

bool IsReady(const Value& pod) {
  const auto& conditions = Items(At(pod, {"status", "conditions"}));
  return std::any_of(conditions.begin(), conditions.end(), [](const Value& condition) {
    return TextAt(condition, {"type"}) == "Ready" && TextAt(condition, {"status"}) == "True";
  });
}

// "" where the pod has none of that family.
std::string AddressOf(const Value& pod, const std::string& family) {
  std::vector<std::string> addresses;
  for (const Value& item : Items(At(pod, {"status", "podIPs"})))
    addresses.push_back(TextAt(item, {"ip"}));
  if (addresses.empty()) addresses.push_back(TextAt(pod, {"status", "podIP"}));
  for (const std::string& text : addresses) {
    auto address = net::Address::Parse(text);
    if (address && address->IsV4() == (family == "IPv4")) return text;
  }
  return "";
}

std::string OrTcp(std::string protocol) { return protocol.empty() ? "TCP" : protocol; }

// The number of a container port by name and protocol; sidecars have ports too.
std::optional<int64_t> NamedPort(const Value& pod, const std::string& name,
                                 const std::string& protocol) {
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& container : Items(At(pod, {"spec", list}))) {
      if (*list == 'i' && TextAt(container, {"restartPolicy"}) != "Always") continue;
      for (const Value& port : Items(container.Find("ports")))
        if (TextAt(port, {"name"}) == name && OrTcp(TextAt(port, {"protocol"})) == protocol)
          return IntegerAt(port, {"containerPort"});
    }
  }
  return std::nullopt;
}

std::optional<int64_t> TargetPort(const Value& port, const Value& pod) {
  const Value* target = port.Find("targetPort");
  bool absent = !target || target->type == Value::Type::kNull ||
                (target->type == Value::Type::kInteger && target->integer == 0);
  if (absent) return IntegerAt(port, {"port"});
  if (target->type == Value::Type::kInteger) return target->integer;
  return NamedPort(pod, Text(target), OrTcp(TextAt(port, {"protocol"})));
}

class SliceMaker {
 public:
  SliceMaker(const Value& service, const std::map<std::string, const Value*>& nodes)
      : service_(service),
        nodes_(nodes),
        name_(NameOf(service)),
        not_ready_too_(IsTrue(At(service, {"spec", "publishNotReadyAddresses"}))) {}

  std::vector<std::string> Families() const {
    std::vector<std::string> families = Texts(At(service_, {"spec", "ipFamilies"}));
    if (!families.empty()) return families;
    std::vector<std::string> addresses = Texts(At(service_, {"spec", "clusterIPs"}));
    if (addresses.empty()) addresses.push_back(TextAt(service_, {"spec", "clusterIP"}));
    for (const std::string& text : addresses)
      if (auto address = net::Address::Parse(text))
        families.push_back(address->IsV4() ? "IPv4" : "IPv6");
    if (families.empty()) families.push_back("IPv4");
    return families;
  }

  // The ports of one pod, as a slice has them. A named port that the pod lacks is left out.
  Value PortsOf(const Value& pod) const {
    Value out = Sequence();
    for (const Value& port : Items(At(service_, {"spec", "ports"}))) {
      auto number = TargetPort(port, pod);
      if (!number) continue;
      Value made = Mapping({{"name", String(TextAt(port, {"name"}))},
                            {"protocol", String(OrTcp(TextAt(port, {"protocol"})))},
                            {"port", Integer(*number)}});
      if (const Value* app = port.Find("appProtocol")) Set(made, "appProtocol", *app);
      out.items.push_back(std::move(made));
    }
    return out;
  }

  void AddTo(std::vector<Group>* groups, const Value& pod, const std::string& family) const {
    std::string address = AddressOf(pod, family);
    if (address.empty() || IsOver(pod)) return;
    bool serving = IsReady(pod);
    bool terminating = IsTerminating(pod);
    Value endpoint = Mapping({{"addresses", Strings({address})}});
    Set(endpoint, "conditions",
        Mapping({{"ready", Boolean(not_ready_too_ || (serving && !terminating))},
                 {"serving", Boolean(serving)},
                 {"terminating", Boolean(terminating)}}));
    Set(endpoint, "targetRef", Reference(pod));
    AddPlace(pod, &endpoint);
    std::string zone;
    if (auto node = nodes_.find(TextAt(pod, {"spec", "nodeName"})); node != nodes_.end())
      zone = TextAt(*node->second, {"metadata", "labels", "topology.kubernetes.io/zone"});
    if (!zone.empty()) Set(endpoint, "zone", String(zone));
    std::string key = EndpointKey(endpoint);
    GroupOf(groups, family, PortsOf(pod)).endpoints.insert_or_assign(key, std::move(endpoint));
  }

  // The slices of one group: old endpoints stay where they are, new ones go where there is room. An
  // old slice that lost its last endpoint goes, but for one that says that there are none.
  void Pack(Group group, const std::vector<const Value*>& old, std::set<std::string>* names,
            std::vector<Value>* out) const {
    std::vector<Draft> drafts;
    for (const Value* slice : old)
      if (Holds(*slice, group)) drafts.push_back(Keep(*slice, &group));
    std::stable_partition(drafts.begin(), drafts.end(),
                          [](const Draft& draft) { return !draft.endpoints.empty(); });
    size_t at = 0;
    for (auto& [key, endpoint] : group.endpoints) {
      while (at < drafts.size() && drafts[at].endpoints.size() >= kMostEndpointsInSlice) ++at;
      if (at == drafts.size()) drafts.push_back({NewMetadata(group, names), {}});
      drafts[at].endpoints.push_back(std::move(endpoint));
    }
    if (drafts.empty()) drafts.push_back({NewMetadata(group, names), {}});
    for (Draft& draft : drafts)
      if (!draft.endpoints.empty() || &draft == &drafts.front())
        out->push_back(Slice(group, std::move(draft)));
  }

  Value MakeEndpoints(const std::vector<const Value*>& pods, const Value* old) const {
    std::string family = Families().front();
    bool any_ports = !Items(At(service_, {"spec", "ports"})).empty();
    std::vector<Subset> subsets;
    size_t count = 0;
    for (const Value* pod : pods) {
      std::string address = AddressOf(*pod, family);
      Value ports = PortsOf(*pod);
      if (address.empty() || IsOver(*pod) || (IsTerminating(*pod) && !not_ready_too_)) continue;
      if (any_ports && ports.items.empty()) continue;
      if (++count > kMostEndpointsInObject) break;
      for (Value& port : ports.items)
        if (TextAt(port, {"name"}).empty()) Erase(port, "name");
      auto found = std::find_if(subsets.begin(), subsets.end(), [&](const Subset& subset) {
        return SameContent(subset.ports, ports);
      });
      if (found == subsets.end()) found = subsets.insert(found, {std::move(ports), {}, {}});
      Value entry = Mapping({{"ip", String(address)}, {"targetRef", Reference(*pod)}});
      AddPlace(*pod, &entry);
      bool ready = not_ready_too_ || IsReady(*pod);
      (ready ? found->ready : found->not_ready).push_back(std::move(entry));
    }
    return Endpoints(old, std::move(subsets), count > kMostEndpointsInObject);
  }

 private:
  struct Draft {
    Value metadata;
    std::vector<Value> endpoints;
  };
  struct Subset {
    Value ports;
    std::vector<Value> ready, not_ready;
  };

  // What an old slice keeps of the group; it is taken out of the group.
  static Draft Keep(const Value& slice, Group* group) {
    Draft draft{*slice.Find("metadata"), {}};
    for (const Value& endpoint : Items(slice.Find("endpoints"))) {
      auto left = group->endpoints.find(EndpointKey(endpoint));
      if (left == group->endpoints.end() || draft.endpoints.size() >= kMostEndpointsInSlice)
        continue;
      draft.endpoints.push_back(std::move(left->second));
      group->endpoints.erase(left);
    }
    return draft;
  }

  static Value Reference(const Value& pod) {
    Value out = Mapping({{"kind", String("Pod")},
                         {"namespace", String(NameOf(pod).ns)},
                         {"name", String(NameOf(pod).name)}});
    if (const Value* uid = At(pod, {"metadata", "uid"})) Set(out, "uid", *uid);
    return out;
  }

  // The node, and the name that DNS gives it.
  void AddPlace(const Value& pod, Value* endpoint) const {
    std::string node = TextAt(pod, {"spec", "nodeName"});
    if (!node.empty()) Set(*endpoint, "nodeName", String(node));
    std::string hostname = TextAt(pod, {"spec", "hostname"});
    if (!hostname.empty() && TextAt(pod, {"spec", "subdomain"}) == name_.name)
      Set(*endpoint, "hostname", String(hostname));
  }

  static Group& GroupOf(std::vector<Group>* groups, const std::string& family, Value ports) {
    for (Group& group : *groups)
      if (group.family == family && SameContent(group.ports, ports)) return group;
    return groups->emplace_back(Group{family, std::move(ports), {}});
  }

  static bool Holds(const Value& slice, const Group& group) {
    const Value* ports = slice.Find("ports");
    bool same_ports = group.ports.items.empty() ? Items(ports).empty()
                                                : ports && SameContent(*ports, group.ports);
    return TextAt(slice, {"addressType"}) == group.family && same_ports;
  }

  Value Slice(const Group& group, Draft draft) const {
    Value labels = ServiceLabels();
    Set(labels, kServiceNameLabel, String(name_.name));
    Set(labels, kManagedByLabel, String(kSliceManager));
    Set(draft.metadata, "labels", std::move(labels));
    return Mapping({{"apiVersion", String("discovery.k8s.io/v1")},
                    {"kind", String("EndpointSlice")},
                    {"metadata", std::move(draft.metadata)},
                    {"addressType", String(group.family)},
                    {"endpoints", Sequence(std::move(draft.endpoints))},
                    {"ports", group.ports}});
  }

  Value ServiceLabels() const {
    const Value* own = At(service_, {"metadata", "labels"});
    Value labels = own && own->type == Value::Type::kMapping ? *own : Mapping();
    if (TextAt(service_, {"spec", "clusterIP"}) == "None") Set(labels, kHeadlessLabel, String(""));
    return labels;
  }

  Value NewMetadata(const Group& group, std::set<std::string>* names) const {
    std::string stem = name_.name + "-";
    std::string name =
        GeneratedName(stem, group.family + "/" + name_.ns + "/" + ToJson(group.ports), names);
    Value owner = Mapping({{"apiVersion", String("v1")},
                           {"kind", String("Service")},
                           {"name", String(name_.name)},
                           {"uid", String(TextAt(service_, {"metadata", "uid"}))},
                           {"controller", Boolean(true)},
                           {"blockOwnerDeletion", Boolean(true)}});
    return Mapping({{"name", String(name)},
                    {"generateName", String(stem)},
                    {"namespace", String(name_.ns)},
                    {"ownerReferences", Sequence({std::move(owner)})}});
  }

  Value Endpoints(const Value* old, std::vector<Subset> subsets, bool cut) const {
    Value metadata = Mapping({{"name", String(name_.name)}, {"namespace", String(name_.ns)}});
    if (const Value* kept = old ? old->Find("metadata") : nullptr) metadata = *kept;
    Value labels = ServiceLabels();
    Set(labels, "endpoints.kubernetes.io/managed-by", String("endpoint-controller"));
    Set(metadata, "labels", std::move(labels));
    if (cut) Set(Child(metadata, "annotations"), kOverCapacity, String("truncated"));
    if (!cut && metadata.Find("annotations")) Erase(Child(metadata, "annotations"), kOverCapacity);
    Value list = Sequence();
    for (Subset& subset : subsets) {
      Value made = Mapping();
      if (!subset.ready.empty()) Set(made, "addresses", Sequence(std::move(subset.ready)));
      if (!subset.not_ready.empty())
        Set(made, "notReadyAddresses", Sequence(std::move(subset.not_ready)));
      if (!subset.ports.items.empty()) Set(made, "ports", std::move(subset.ports));
      list.items.push_back(std::move(made));
    }
    Value out = Mapping({{"apiVersion", String("v1")}, {"kind", String("Endpoints")}});
    Set(out, "metadata", std::move(metadata));
    if (!list.items.empty()) Set(out, "subsets", std::move(list));
    return out;
  }

  const Value& service_;
  const std::map<std::string, const Value*>& nodes_;
  model::ObjectName name_;
  bool not_ready_too_;
};

// The pods that the Service selects, by name.
std::vector<const Value*> Selected(const Value& service, const std::vector<const Value*>& pods) {
  std::vector<const Value*> out;
  auto selector = SelectorOfMap(At(service, {"spec", "selector"}));
  if (!selector) return out;  // selects nothing: an API server has refused it
  for (const Value* pod : pods)
    if (NameOf(*pod).ns == NameOf(service).ns && selector->Matches(LabelsOf(*pod)))
      out.push_back(pod);
  std::sort(out.begin(), out.end(),
            [](const Value* a, const Value* b) { return NameOf(*a).name < NameOf(*b).name; });
  return out;
}

// The slices of this Service that are ours, by name.
std::vector<const Value*> Ours(const Value& service, const std::vector<const Value*>& slices) {
  std::vector<const Value*> out;
  for (const Value* slice : slices)
    if (NameOf(*slice).ns == NameOf(service).ns &&
        TextAt(*slice, {"metadata", "labels", kServiceNameLabel}) == NameOf(service).name &&
        TextAt(*slice, {"metadata", "labels", kManagedByLabel}) == kSliceManager)
      out.push_back(slice);
  std::sort(out.begin(), out.end(),
            [](const Value* a, const Value* b) { return NameOf(*a).name < NameOf(*b).name; });
  return out;
}

}  // namespace

EndpointObjects MakeEndpointSlices(const Value& service, const std::vector<const Value*>& pods,
                                   const std::map<std::string, const Value*>& nodes,
                                   const std::vector<const Value*>& old,
                                   const Value* old_endpoints) {
  EndpointObjects out;
  if (Members(At(service, {"spec", "selector"})).empty() ||
      TextAt(service, {"spec", "type"}) == "ExternalName")
    return out;
  out.managed = true;
  SliceMaker maker(service, nodes);
  std::vector<const Value*> selected = Selected(service, pods);
  std::vector<const Value*> ours = Ours(service, old);
  std::set<std::string> names;
  for (const Value* slice : old)
    if (NameOf(*slice).ns == NameOf(service).ns) names.insert(NameOf(*slice).name);
  for (const std::string& family : maker.Families()) {
    std::vector<Group> groups;
    for (const Value* pod : selected) maker.AddTo(&groups, *pod, family);
    if (groups.empty()) groups.push_back({family, Sequence(), {}});
    for (Group& group : groups) maker.Pack(std::move(group), ours, &names, &out.slices);
  }
  std::set<std::string> wanted;
  for (const Value& slice : out.slices) wanted.insert(NameOf(slice).name);
  for (const Value* slice : ours)
    if (!wanted.contains(NameOf(*slice).name)) out.stale.push_back(NameOf(*slice).name);
  out.endpoints = maker.MakeEndpoints(selected, old_endpoints);
  return out;
}

}  // namespace sallyport::lab

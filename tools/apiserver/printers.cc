// SPDX-License-Identifier: Apache-2.0
#include "apiserver/printers.h"

#include <algorithm>

#include "apiserver/printer_parts.h"

namespace sallyport::apiserver {
namespace {

// ---- services

std::string ServicePorts(const Value& service) {
  std::vector<std::string> out;
  for (const Value& port : Items(At(service, {"spec", "ports"}))) {
    std::string text = Number(port, {"port"});
    if (int64_t node = IntegerAt(port, {"nodePort"}).value_or(0))
      text += ":" + std::to_string(node);
    out.push_back(text + "/" + TextAt(port, {"protocol"}));
  }
  return OrNone(Join(out));
}

std::string ExternalIps(const Value& service) {
  std::string type = TextAt(service, {"spec", "type"});
  std::vector<std::string> out;
  if (type == "ExternalName") return TextAt(service, {"spec", "externalName"});
  for (const Value& ingress : Items(At(service, {"status", "loadBalancer", "ingress"}))) {
    std::string ip = TextAt(ingress, {"ip"});
    out.push_back(ip.empty() ? TextAt(ingress, {"hostname"}) : ip);
  }
  if (type != "LoadBalancer") out.clear();
  for (const std::string& ip : Texts(At(service, {"spec", "externalIPs"}))) out.push_back(ip);
  if (out.empty()) return type == "LoadBalancer" ? "<pending>" : "<none>";
  return Join(out);
}

Cells ServiceCells(const Value& service, WallTime now) {
  return {TextAt(service, {"spec", "type"}),
          OrNone(TextAt(service, {"spec", "clusterIP"})),
          ExternalIps(service),
          ServicePorts(service),
          Age(service, now),
          MapText(At(service, {"spec", "selector"}))};
}

std::string Shortened(std::vector<std::string> texts) {
  if (texts.empty()) return "<none>";
  size_t more = texts.size() > 3 ? texts.size() - 3 : 0;
  texts.resize(texts.size() - more);
  return Join(texts) + (more ? " + " + std::to_string(more) + " more..." : "");
}

Cells EndpointsCells(const Value& endpoints, WallTime now) {
  std::vector<std::string> out;
  for (const Value& subset : Items(endpoints.Find("subsets"))) {
    for (const Value& address : Items(subset.Find("addresses"))) {
      std::string ip = TextAt(address, {"ip"});
      bool v6 = ip.find(':') != ip.npos;
      for (const Value& port : Items(subset.Find("ports")))
        out.push_back((v6 ? "[" + ip + "]" : ip) + ":" + Number(port, {"port"}));
      if (Items(subset.Find("ports")).empty()) out.push_back(ip);
    }
  }
  return {Shortened(out), Age(endpoints, now)};
}

Cells EndpointSliceCells(const Value& slice, WallTime now) {
  std::vector<std::string> ports;
  for (const Value& port : Items(slice.Find("ports"))) ports.push_back(Number(port, {"port"}));
  std::vector<std::string> addresses;
  for (const Value& endpoint : Items(slice.Find("endpoints")))
    for (const std::string& address : Texts(endpoint.Find("addresses")))
      addresses.push_back(address);
  auto text = [](const std::vector<std::string>& list) {
    return list.empty() ? std::string("<unset>") : Shortened(list);
  };
  return {TextAt(slice, {"addressType"}), text(ports), text(addresses), Age(slice, now)};
}

// ---- the cluster's own

std::string NodeAddress(const Value& node, std::string_view type) {
  for (const Value& address : Items(At(node, {"status", "addresses"})))
    if (TextAt(address, {"type"}) == type) return TextAt(address, {"address"});
  return "<none>";
}

Cells NodeCells(const Value& node, WallTime now) {
  std::string ready = ConditionStatus(node, "Ready");
  std::string status = ready.empty() ? "Unknown" : ready == "True" ? "Ready" : "NotReady";
  if (IsTrue(At(node, {"spec", "unschedulable"}))) status += ",SchedulingDisabled";
  std::vector<std::string> roles;
  for (const auto& [key, value] : Members(At(node, {"metadata", "labels"}))) {
    constexpr std::string_view kRole = "node-role.kubernetes.io/";
    if (key.starts_with(kRole) && key.size() > kRole.size())
      roles.push_back(key.substr(kRole.size()));
    if (key == "kubernetes.io/role") roles.push_back(Text(&value));
  }
  auto info = [&](std::string_view key) {
    std::string text = TextAt(node, {"status", "nodeInfo", key});
    return text.empty() ? std::string("<unknown>") : text;
  };
  return {status,
          OrNone(Join(roles)),
          Age(node, now),
          TextAt(node, {"status", "nodeInfo", "kubeletVersion"}),
          NodeAddress(node, "InternalIP"),
          NodeAddress(node, "ExternalIP"),
          info("osImage"),
          info("kernelVersion"),
          info("containerRuntimeVersion")};
}

Cells EventCells(const Value& event, WallTime now) {
  std::string last = TextAt(event, {"lastTimestamp"});
  if (last.empty()) last = TextAt(event, {"eventTime"});
  if (last.empty()) last = TextAt(event, {"metadata", "creationTimestamp"});
  std::string kind = TextAt(event, {"involvedObject", "kind"});
  std::transform(kind.begin(), kind.end(), kind.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return {TextAt(event, {"type"}), TextAt(event, {"reason"}),
          kind + "/" + TextAt(event, {"involvedObject", "name"}), TextAt(event, {"message"}),
          Since(last, now)};
}

std::string Subjects(const Value& binding, const std::string& kind) {
  std::vector<std::string> out;
  for (const Value& subject : Items(binding.Find("subjects"))) {
    if (TextAt(subject, {"kind"}) != kind) continue;
    std::string ns = TextAt(subject, {"namespace"});
    out.push_back((ns.empty() ? "" : ns + "/") + TextAt(subject, {"name"}));
  }
  return Join(out, ", ");
}

Cells BindingCells(const Value& binding, WallTime now) {
  return {TextAt(binding, {"roleRef", "kind"}) + "/" + TextAt(binding, {"roleRef", "name"}),
          Age(binding, now), Subjects(binding, "User"), Subjects(binding, "Group"),
          Subjects(binding, "ServiceAccount")};
}

Cells IngressCells(const Value& ingress, WallTime now) {
  std::vector<std::string> hosts;
  for (const Value& rule : Items(At(ingress, {"spec", "rules"}))) {
    std::string host = TextAt(rule, {"host"});
    hosts.push_back(host.empty() ? "*" : host);
  }
  std::vector<std::string> addresses;
  for (const Value& one : Items(At(ingress, {"status", "loadBalancer", "ingress"})))
    addresses.push_back(TextAt(one, {"ip"}));
  return {OrNone(TextAt(ingress, {"spec", "ingressClassName"})),
          hosts.empty() ? "*" : Shortened(hosts), Join(addresses),
          At(ingress, {"spec", "tls"}) ? "80, 443" : "80", Age(ingress, now)};
}

Cells CrdCells(const Value& definition, WallTime) {
  return {TextAt(definition, {"metadata", "creationTimestamp"})};
}

Cells ClusterRoleCells(const Value& role, WallTime) {
  return {TextAt(role, {"metadata", "creationTimestamp"})};
}

// All with the age as their last narrow column.
void AddNetwork(Printers* all) {
  (*all)["services"] = {
      Columns({"Type", "Cluster-IP", "External-IP", "Port(s)", "Age"}, {"Selector"}), ServiceCells};
  (*all)["endpoints"] = {Columns({"Endpoints", "Age"}), EndpointsCells};
  (*all)["endpointslices.discovery.k8s.io"] = {
      Columns({"AddressType", "Ports", "Endpoints", "Age"}), EndpointSliceCells};
  (*all)["networkpolicies.networking.k8s.io"] = Simple({"Pod-Selector"}, [](const Value& policy) {
    return Cells{SelectorText(At(policy, {"spec", "podSelector"}))};
  });
  (*all)["ingresses.networking.k8s.io"] = {Columns({"Class", "Hosts", "Address", "Ports", "Age"}),
                                           IngressCells};
  (*all)["ingressclasses.networking.k8s.io"] =
      Simple({"Controller", "Parameters"}, [](const Value& object) {
        return Cells{TextAt(object, {"spec", "controller"}), "<none>"};
      });
}

void AddCluster(Printers* all) {
  (*all)["namespaces"] = Simple({"Status"}, [](const Value& object) {
    return Cells{TextAt(object, {"status", "phase"})};
  });
  (*all)["nodes"] = {
      Columns({"Status", "Roles", "Age", "Version"},
              {"Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"}),
      NodeCells};
  Printer events = {Columns({"Type", "Reason", "Object", "Message"}), EventCells};
  events.columns.insert(events.columns.begin(), {.name = "Last Seen"});
  events.cells = [](const Value& event, WallTime now) {
    Cells row = EventCells(event, now);
    std::rotate(row.begin(), row.end() - 1, row.end());
    return row;
  };
  (*all)["events"] = events;
  (*all)["configmaps"] = Simple({"Data"}, [](const Value& object) {
    return Cells{std::to_string(Members(object.Find("data")).size() +
                                Members(object.Find("binaryData")).size())};
  });
  (*all)["secrets"] = Simple({"Type", "Data"}, [](const Value& object) {
    return Cells{TextAt(object, {"type"}), Count(object.Find("data"))};
  });
  (*all)["serviceaccounts"] =
      Simple({"Secrets"}, [](const Value& object) { return Cells{Count(object.Find("secrets"))}; });
  (*all)["leases.coordination.k8s.io"] = Simple({"Holder"}, [](const Value& object) {
    return Cells{TextAt(object, {"spec", "holderIdentity"})};
  });
  (*all)["priorityclasses.scheduling.k8s.io"] =
      Simple({"Value", "Global-Default"}, [](const Value& object) {
        return Cells{Number(object, {"value"}),
                     IsTrue(object.Find("globalDefault")) ? "true" : "false"};
      });
  (*all)["customresourcedefinitions.apiextensions.k8s.io"] = {Columns({"Created At"}), CrdCells};
  (*all)["clusterroles.rbac.authorization.k8s.io"] = {Columns({"Created At"}), ClusterRoleCells};
  (*all)["roles.rbac.authorization.k8s.io"] = {Columns({"Created At"}), ClusterRoleCells};
  Printer bindings = {Columns({"Role", "Age"}, {"Users", "Groups", "ServiceAccounts"}),
                      BindingCells};
  (*all)["rolebindings.rbac.authorization.k8s.io"] = bindings;
  (*all)["clusterrolebindings.rbac.authorization.k8s.io"] = bindings;
  (*all)["poddisruptionbudgets.policy"] =
      Simple({"Min Available", "Max Unavailable", "Allowed Disruptions"}, [](const Value& object) {
        auto text = [&](std::string_view key) {
          std::string one = TextAt(object, {"spec", key});
          return one.empty() ? std::string("N/A") : one;
        };
        return Cells{text("minAvailable"), text("maxUnavailable"),
                     Number(object, {"status", "disruptionsAllowed"})};
      });
}

}  // namespace

const Printer& PrinterOf(std::string_view store_key) {
  static const Printers all = [] {
    Printers made;
    AddWorkloads(&made);
    AddNetwork(&made);
    AddCluster(&made);
    return made;
  }();
  static const Printer age = Simple({}, [](const Value&) { return Cells{}; });
  auto found = all.find(store_key);
  return found == all.end() ? age : found->second;
}

}  // namespace sallyport::apiserver

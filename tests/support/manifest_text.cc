// SPDX-License-Identifier: Apache-2.0
#include "support/manifest_text.h"

#include <sstream>

namespace sallyport::test {
namespace {

// Flow style throughout: one line for each rule.
std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

template <typename Items, typename Print>
std::string List(const Items& items, Print print) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? ", " : "") + print(item);
  return out + "]";
}

std::string Text(const model::Labels& labels) {
  std::string out = "{";
  for (const auto& [key, value] : labels.entries()) {
    out += (out.size() > 1 ? ", " : "") + Quoted(key) + ": " + Quoted(value);
  }
  return out + "}";
}

std::string Text(const model::Requirement& requirement) {
  static const char* const kOperators[] = {"In", "NotIn", "Exists", "DoesNotExist"};
  std::string out = "{key: " + Quoted(requirement.key) +
                    ", operator: " + kOperators[static_cast<int>(requirement.op)];
  if (!requirement.values.empty()) out += ", values: " + List(requirement.values, Quoted);
  return out + "}";
}

std::string Text(const model::Selector& selector) {
  if (selector.MatchesEverything()) return "{}";
  return "{matchExpressions: " +
         List(selector.requirements(), [](const model::Requirement& r) { return Text(r); }) + "}";
}

std::string Text(const model::Peer& peer) {
  if (const auto* block = std::get_if<model::IpBlock>(&peer)) {
    std::string out = "{ipBlock: {cidr: " + Quoted(block->cidr.ToString());
    if (!block->except.empty()) {
      out += ", except: " +
             List(block->except, [](const net::Cidr& cidr) { return Quoted(cidr.ToString()); });
    }
    return out + "}}";
  }
  const auto& pods = std::get<model::PodPeer>(peer);
  std::string out;
  if (pods.namespaces) out += "namespaceSelector: " + Text(*pods.namespaces);
  if (pods.pods) out += (out.empty() ? "" : ", ") + ("podSelector: " + Text(*pods.pods));
  return "{" + out + "}";
}

std::string Text(const model::PolicyPort& port) {
  std::string out = "{protocol: " + net::ToString(port.protocol);
  if (const auto* name = std::get_if<std::string>(&port.port)) out += ", port: " + Quoted(*name);
  if (const auto* range = std::get_if<net::PortRange>(&port.port)) {
    out += ", port: " + std::to_string(range->first);
    if (range->last != range->first) out += ", endPort: " + std::to_string(range->last);
  }
  return out + "}";
}

std::string Text(const std::vector<model::Rule>& rules, const std::string& peers) {
  std::string out;
  for (const model::Rule& rule : rules) {
    std::string parts;
    if (!rule.peers.empty()) {
      parts = peers + ": " + List(rule.peers, [](const model::Peer& p) { return Text(p); });
    }
    if (!rule.ports.empty()) {
      parts += parts.empty() ? "ports: " : ", ports: ";
      parts += List(rule.ports, [](const model::PolicyPort& p) { return Text(p); });
    }
    out += "  - {" + parts + "}\n";
  }
  return out;
}

void Print(std::ostream& out, const model::NetworkPolicy& policy) {
  out << "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: "
      << policy.name.name << ", namespace: " << policy.name.ns
      << (policy.keeps_established ? ", annotations: {sallyport.io/established: keep}" : "")
      << "}\nspec:\n  podSelector: " << Text(policy.pods) << "\n  policyTypes: ["
      << (policy.isolates_ingress ? "Ingress" : "")
      << (policy.isolates_ingress && policy.isolates_egress ? ", " : "")
      << (policy.isolates_egress ? "Egress" : "") << "]\n";
  if (!policy.ingress.empty()) out << "  ingress:\n" << Text(policy.ingress, "from");
  if (!policy.egress.empty()) out << "  egress:\n" << Text(policy.egress, "to");
}

void Print(std::ostream& out, const model::Pod& pod) {
  static const char* const kPhases[] = {"Unknown", "Pending", "Running", "Succeeded", "Failed"};
  out << "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " << pod.name.name
      << ", namespace: " << pod.name.ns << ", labels: " << Text(pod.labels) << "}\nspec:\n";
  if (!pod.node.empty()) out << "  nodeName: " << pod.node << "\n";
  if (pod.host_network) out << "  hostNetwork: true\n";
  out << "  containers:\n  - name: main\n    ports: "
      << List(pod.ports,
              [](const model::ContainerPort& port) {
                std::string name = port.name.empty() ? "" : "name: " + port.name + ", ";
                return "{" + name + "protocol: " + net::ToString(port.protocol) +
                       ", containerPort: " + std::to_string(port.port) + "}";
              })
      << "\nstatus:\n  phase: " << kPhases[static_cast<int>(pod.phase)] << "\n  podIPs: "
      << List(
             pod.addresses,
             [](const net::Address& address) { return "{ip: " + Quoted(address.ToString()) + "}"; })
      << "\n";
}

void Print(std::ostream& out, const model::Service& service) {
  out << "---\napiVersion: v1\nkind: Service\nmetadata: {name: " << service.name.name
      << ", namespace: " << service.name.ns << "}\nspec:\n  type: " << ToString(service.type)
      << "\n  externalTrafficPolicy: " << (service.external_local ? "Local" : "Cluster")
      << "\n  ports: "
      << List(service.ports,
              [](const model::ServicePort& port) {
                return "{name: " + Quoted(port.name) +
                       ", protocol: " + net::ToString(port.protocol) +
                       ", port: " + std::to_string(port.port) +
                       ", nodePort: " + std::to_string(port.node_port) + "}";
              })
      << "\n";
}

std::string Text(const model::SliceEndpoint& endpoint) {
  auto word = [](bool holds) { return std::string(holds ? "true" : "false"); };
  return "{addresses: " +
         List(endpoint.addresses,
              [](const net::Address& address) { return Quoted(address.ToString()); }) +
         ", conditions: {ready: " + word(endpoint.ready) + ", serving: " + word(endpoint.serving) +
         ", terminating: " + word(endpoint.terminating) + "}}";
}

void Print(std::ostream& out, const model::EndpointSlice& slice) {
  bool v6 = false;
  for (const model::SliceEndpoint& endpoint : slice.endpoints) {
    for (const net::Address& address : endpoint.addresses) v6 |= !address.IsV4();
  }
  out << "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: "
      << slice.name.name << ", namespace: " << slice.name.ns
      << ", labels: {kubernetes.io/service-name: " << Quoted(slice.service)
      << "}}\naddressType: " << (v6 ? "IPv6" : "IPv4") << "\nendpoints: "
      << List(slice.endpoints, [](const model::SliceEndpoint& e) { return Text(e); }) << "\nports: "
      << List(slice.ports,
              [](const model::SlicePort& port) {
                std::string number = port.port ? ", port: " + std::to_string(*port.port) : "";
                return "{name: " + Quoted(port.name) +
                       ", protocol: " + net::ToString(port.protocol) + number + "}";
              })
      << "\n";
}

void Print(std::ostream& out, const model::EgressGateway& gateway) {
  auto cidrs = [](const std::vector<net::Cidr>& all) {
    return List(all, [](const net::Cidr& cidr) { return Quoted(cidr.ToString()); });
  };
  model::PodPeer pods{gateway.namespaces, gateway.pods};
  out << "---\napiVersion: sallyport.io/v1alpha1\nkind: EgressGateway\nmetadata: {name: "
      << gateway.name;
  if (!gateway.created.empty()) out << ", creationTimestamp: " << Quoted(gateway.created);
  out << "}\nspec:\n  egressIPs: "
      << List(gateway.egress_ips,
              [](const net::Address& address) { return Quoted(address.ToString()); })
      << "\n  pods: " << Text(model::Peer(pods))
      << "\n  destinations: {cidrs: " << cidrs(gateway.destinations)
      << ", except: " << cidrs(gateway.except)
      << "}\n  gateways: {nodeSelector: " << Text(gateway.gateways)
      << (gateway.interface.empty() ? "" : ", interface: " + Quoted(gateway.interface))
      << "}\n  portBlockSize: " << gateway.port_block_size << "\n";
}

}  // namespace

std::string ManifestText(const model::Snapshot& snapshot) {
  std::ostringstream out;
  for (const auto& [name, ns] : snapshot.namespaces) {
    out << "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " << name
        << ", labels: " << Text(ns->labels) << "}\n";
  }
  for (const auto& [name, node] : snapshot.nodes) {
    out << "---\napiVersion: v1\nkind: Node\nmetadata: {name: " << name << "}\nstatus: {addresses: "
        << List(node->addresses,
                [](const net::Address& address) {
                  return "{type: InternalIP, address: " + Quoted(address.ToString()) + "}";
                })
        << "}\n";
  }
  for (const auto& [name, pod] : snapshot.pods) Print(out, *pod);
  for (const auto& [name, policy] : snapshot.policies) Print(out, *policy);
  for (const auto& [name, service] : snapshot.services) Print(out, *service);
  for (const auto& [name, slice] : snapshot.endpoint_slices) Print(out, *slice);
  for (const auto& [name, gateway] : snapshot.egress_gateways) Print(out, *gateway);
  return out.str();
}

}  // namespace sallyport::test

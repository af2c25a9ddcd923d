// SPDX-License-Identifier: Apache-2.0
#include "lab/proxy_services.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "lab/endpoint_slices.h"

namespace sallyport::lab {
namespace {

constexpr int kDefaultAffinity = 10800;  // the API's default, seconds

// All endpoints of one Service port in one family, before some are chosen.
struct ReadyEndpoint {
  ProxyEndpoint endpoint;
  bool ready = false;
  bool serving = false;  // and terminating: what is used where nothing is ready
};

std::optional<uint16_t> PortAt(const Value& value, const char* key) {
  auto number = IntegerAt(value, {key});
  if (!number || *number < 1 || *number > 65535) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

net::Protocol ProtocolOf(const Value& port) {
  auto protocol = net::ParseProtocol(TextAt(port, {"protocol"}));
  return protocol && net::HasPorts(*protocol) ? *protocol : net::Protocol::kTcp;
}

// An absent condition means true for ready, ready for serving, false for terminating (the API).
bool Condition(const Value& endpoint, const char* name, bool absent) {
  const Value* found = At(endpoint, {"conditions", name});
  return found && found->type == Value::Type::kBool ? found->boolean : absent;
}

std::optional<uint16_t> SlicePort(const Value& slice, const ServicePort& port) {
  for (const Value& item : Items(slice.Find("ports")))
    if (TextAt(item, {"name"}) == port.name && ProtocolOf(item) == port.protocol)
      return PortAt(item, "port");
  return std::nullopt;
}

std::vector<ReadyEndpoint> Candidates(const std::vector<const Value*>& slices,
                                      const ServicePort& port, const std::string& node) {
  std::map<std::pair<net::Address, uint16_t>, ReadyEndpoint> found;
  const char* family = port.cluster_ip.IsV4() ? "IPv4" : "IPv6";
  for (const Value* slice : slices) {
    if (TextAt(*slice, {"addressType"}) != family) continue;
    auto number = SlicePort(*slice, port);
    if (!number) continue;
    for (const Value& endpoint : Items(slice->Find("endpoints"))) {
      std::vector<std::string> addresses = Texts(endpoint.Find("addresses"));
      auto address = net::Address::Parse(addresses.empty() ? "" : addresses.front());
      if (!address || address->IsV4() != port.cluster_ip.IsV4()) continue;
      bool ready = Condition(endpoint, "ready", true);
      bool serving = Condition(endpoint, "serving", ready);
      bool terminating = Condition(endpoint, "terminating", false);
      // While an endpoint moves from slice to slice it may be in both: the better one counts.
      ReadyEndpoint& candidate = found[{*address, *number}];
      candidate.endpoint = {*address, *number, TextAt(endpoint, {"nodeName"}) == node};
      candidate.ready |= ready;
      candidate.serving |= serving && terminating;
    }
  }
  std::vector<ReadyEndpoint> out;
  for (auto& [key, candidate] : found) out.push_back(candidate);
  return out;
}

// The ready ones; where there is none, those that serve to their end.
std::vector<ProxyEndpoint> Choose(const std::vector<ReadyEndpoint>& all, bool local_only) {
  for (bool ready : {true, false}) {
    std::vector<ProxyEndpoint> out;
    for (const ReadyEndpoint& candidate : all)
      if ((ready ? candidate.ready : candidate.serving) &&
          (!local_only || candidate.endpoint.local))
        out.push_back(candidate.endpoint);
    if (!out.empty()) return out;
  }
  return {};
}

std::vector<net::Address> AddressesOf(const std::vector<std::string>& texts, bool v4) {
  std::vector<net::Address> out;
  for (const std::string& text : texts)
    if (auto address = net::Address::Parse(text); address && address->IsV4() == v4)
      out.push_back(*address);
  return out;
}

// What all ports of a Service in one family share.
ServicePort CommonPart(const Value& service, const net::Address& cluster_ip) {
  ServicePort out;
  bool v4 = cluster_ip.IsV4();
  out.service = NameOf(service);
  out.cluster_ip = cluster_ip;
  const Value& spec = *service.Find("spec");
  out.external_ips = AddressesOf(Texts(spec.Find("externalIPs")), v4);
  if (TextAt(spec, {"type"}) == "LoadBalancer") {
    std::vector<std::string> ingress;
    for (const Value& item : Items(At(service, {"status", "loadBalancer", "ingress"})))
      if (TextAt(item, {"ipMode"}) != "Proxy") ingress.push_back(TextAt(item, {"ip"}));
    out.balancer_ips = AddressesOf(ingress, v4);
    for (const std::string& text : Texts(spec.Find("loadBalancerSourceRanges"))) {
      out.limited = true;
      if (auto range = net::Cidr::Parse(text); range && range->IsV4() == v4)
        out.source_ranges.push_back(*range);
    }
  }
  if (TextAt(spec, {"sessionAffinity"}) == "ClientIP") {
    auto seconds = IntegerAt(spec, {"sessionAffinityConfig", "clientIP", "timeoutSeconds"});
    out.affinity_seconds =
        static_cast<int>(std::clamp<int64_t>(seconds.value_or(kDefaultAffinity), 1, 86400));
  }
  out.internal_local = TextAt(spec, {"internalTrafficPolicy"}) == "Local";
  out.external_local = TextAt(spec, {"externalTrafficPolicy"}) == "Local";
  return out;
}

std::vector<net::Address> ClusterIps(const Value& service) {
  const Value* labels = At(service, {"metadata", "labels"});
  if (labels && (labels->Find("service.kubernetes.io/service-proxy-name") ||
                 labels->Find("service.kubernetes.io/headless")))
    return {};
  if (TextAt(service, {"spec", "type"}) == "ExternalName") return {};
  std::vector<std::string> texts = Texts(At(service, {"spec", "clusterIPs"}));
  if (texts.empty()) texts.push_back(TextAt(service, {"spec", "clusterIP"}));
  std::vector<net::Address> out;
  for (const std::string& text : texts)
    if (auto address = net::Address::Parse(text)) out.push_back(*address);
  return out;
}

}  // namespace

std::string ServicePort::ToString() const {
  return service.ToString() + (name.empty() ? "" : ":" + name);
}

std::string LowerProtocol(net::Protocol protocol) {
  std::string text = net::ToString(protocol);
  for (char& c : text) c = static_cast<char>(c | 0x20);
  return text;
}

std::vector<ServicePort> ServicePorts(const std::vector<const Value*>& services,
                                      const std::vector<const Value*>& slices,
                                      const std::string& node) {
  std::map<model::ObjectName, std::vector<const Value*>> behind;
  for (const Value* slice : slices)
    behind[{NameOf(*slice).ns, TextAt(*slice, {"metadata", "labels", kServiceNameLabel})}]
        .push_back(slice);
  std::vector<ServicePort> out;
  for (const Value* service : services) {
    for (const net::Address& cluster_ip : ClusterIps(*service)) {
      ServicePort common = CommonPart(*service, cluster_ip);
      for (const Value& item : Items(At(*service, {"spec", "ports"}))) {
        auto number = PortAt(item, "port");
        if (!number) continue;
        ServicePort port = common;
        port.name = TextAt(item, {"name"});
        port.protocol = ProtocolOf(item);
        port.port = *number;
        port.node_port = PortAt(item, "nodePort").value_or(0);
        std::vector<ReadyEndpoint> all = Candidates(behind[port.service], port, node);
        port.endpoints = Choose(all, false);
        if (port.internal_local || port.external_local) port.local_endpoints = Choose(all, true);
        out.push_back(std::move(port));
      }
    }
  }
  std::sort(out.begin(), out.end(), [](const ServicePort& a, const ServicePort& b) {
    return std::tie(a.service, a.name, a.protocol, a.cluster_ip) <
           std::tie(b.service, b.name, b.protocol, b.cluster_ip);
  });
  return out;
}

}  // namespace sallyport::lab

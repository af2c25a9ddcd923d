// SPDX-License-Identifier: Apache-2.0
#include "apiserver/checks.h"

#include <set>

#include "model/validate_names.h"
#include "net/address.h"

namespace sallyport::apiserver {
namespace {

// ---- services and what belongs to them

void CheckServicePorts(const Value& spec, bool headless, Causes* out) {
  const std::vector<Value>& ports = Items(spec.Find("ports"));
  if (ports.empty() && !headless && TextAt(spec, {"type"}) != "ExternalName")
    out->push_back(Required("spec.ports"));
  std::set<std::string> names;
  std::set<std::string> numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string at = Index("spec.ports", i);
    std::string name = TextAt(ports[i], {"name"});
    if (name.empty() && ports.size() > 1) out->push_back(Required(at + ".name"));
    if (!name.empty()) {
      if (std::string wrong = model::CheckDnsLabel(name); !wrong.empty())
        out->push_back(BadValue(at + ".name", name, wrong));
      if (!names.insert(name).second) out->push_back(Duplicate(at + ".name", name));
    }
    CheckPort(ports[i].Find("port"), at + ".port", out);
    CheckProtocol(ports[i], at, out);
    if (const Value* target = ports[i].Find("targetPort"))
      CheckPortOrName(*target, at + ".targetPort", out);
    std::string key = Text(ports[i].Find("port")) + "/" + TextAt(ports[i], {"protocol"});
    if (!numbers.insert(key).second)
      out->push_back({"FieldValueDuplicate", "Duplicate value: " + ToJson(ports[i]), at});
    if (IntegerAt(ports[i], {"nodePort"}).value_or(0) && TextAt(spec, {"type"}) == "ClusterIP")
      out->push_back(Prohibited(at + ".nodePort", "may not be used when `type` is 'ClusterIP'"));
  }
}

void CheckServiceChange(const Value& service, const Value& old, Causes* out) {
  std::string type = TextAt(service, {"spec", "type"});
  std::string ip = TextAt(service, {"spec", "clusterIP"});
  std::string before = TextAt(old, {"spec", "clusterIP"});
  if (type == "ExternalName" || before.empty() || ip.empty() || ip == before) return;
  out->push_back(BadValue("spec.clusterIPs[0]", ip, "may not change once set"));
}

}  // namespace

void CheckService(const Value& service, const Value* old, Causes* out) {
  const Value& spec = *service.Find("spec");
  static const std::set<std::string> kTypes = {"ClusterIP", "ExternalName", "LoadBalancer",
                                               "NodePort"};
  std::string type = TextAt(spec, {"type"});
  std::string ip = TextAt(spec, {"clusterIP"});
  if (!kTypes.count(type))
    out->push_back(Unsupported("spec.type", type, {kTypes.begin(), kTypes.end()}));
  bool headless = ip == "None";
  CheckServicePorts(spec, headless, out);
  if (!ip.empty() && !headless && type != "ExternalName") CheckIp(ip, "spec.clusterIPs[0]", out);
  if (headless && type != "ClusterIP")
    out->push_back(
        BadValue("spec.clusterIPs[0]", ip, "may not be set to 'None' for " + type + " services"));
  if (type == "ExternalName") {
    std::string name = TextAt(spec, {"externalName"});
    if (std::string wrong = model::CheckDnsSubdomain(name); !wrong.empty())
      out->push_back(BadValue("spec.externalName", name, wrong));
  }
  CheckLabels(spec.Find("selector"), "spec.selector", out);
  std::string affinity = TextAt(spec, {"sessionAffinity"});
  if (affinity != "None" && affinity != "ClientIP")
    out->push_back(Unsupported("spec.sessionAffinity", affinity, {"ClientIP", "None"}));
  for (const char* key : {"externalTrafficPolicy", "internalTrafficPolicy"}) {
    std::string policy = TextAt(spec, {key});
    if (!policy.empty() && policy != "Cluster" && policy != "Local")
      out->push_back(Unsupported(std::string("spec.") + key, policy, {"Cluster", "Local"}));
  }
  std::vector<std::string> externals = Texts(spec.Find("externalIPs"));
  for (size_t i = 0; i < externals.size(); ++i)
    CheckIp(externals[i], Index("spec.externalIPs", i), out);
  std::vector<std::string> ranges = Texts(spec.Find("loadBalancerSourceRanges"));
  for (size_t i = 0; i < ranges.size(); ++i)
    if (!net::Cidr::Parse(ranges[i]))
      out->push_back(BadValue(Index("spec.LoadBalancerSourceRanges", i), ranges[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
  if (old) CheckServiceChange(service, *old, out);
}

void CheckEndpointSlice(const Value& slice, const Value* old, Causes* out) {
  std::string type = TextAt(slice, {"addressType"});
  if (type != "IPv4" && type != "IPv6" && type != "FQDN")
    out->push_back(type.empty() ? Required("addressType")
                                : Unsupported("addressType", type, {"FQDN", "IPv4", "IPv6"}));
  CheckImmutable(slice, old, {"addressType"}, "addressType", out);
  const std::vector<Value>& endpoints = Items(slice.Find("endpoints"));
  if (endpoints.size() > 1000)
    out->push_back(
        {"FieldValueTooMany",
         "Too many: " + std::to_string(endpoints.size()) + ": must have at most 1000 items",
         "endpoints"});
  for (size_t i = 0; i < endpoints.size(); ++i) {
    std::string at = Index("endpoints", i);
    std::vector<std::string> addresses = Texts(endpoints[i].Find("addresses"));
    if (addresses.empty())
      out->push_back(Required(at + ".addresses", "must contain at least 1 address"));
    for (size_t j = 0; j < addresses.size() && type != "FQDN"; ++j) {
      auto address = net::Address::Parse(addresses[j]);
      if (!address || address->IsV4() != (type == "IPv4"))
        out->push_back(BadValue(Index(at + ".addresses", j), addresses[j],
                                "must be a valid " + type + " address"));
    }
  }
}

namespace {

// ---- network policies

void CheckIpBlock(const Value& block, const std::string& path, Causes* out) {
  std::string text = TextAt(block, {"cidr"});
  if (text.empty()) {
    out->push_back(Required(path + ".cidr"));
    return;
  }
  auto cidr = net::Cidr::Parse(text);
  if (!cidr) {
    out->push_back(BadValue(path + ".cidr", text,
                            "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    return;
  }
  std::vector<std::string> excepts = Texts(block.Find("except"));
  for (size_t i = 0; i < excepts.size(); ++i) {
    std::string at = Index(path + ".except", i);
    auto except = net::Cidr::Parse(excepts[i]);
    if (!except) {
      out->push_back(BadValue(at, excepts[i],
                              "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"));
    } else if (!cidr->Contains(*except) || *cidr == *except) {
      out->push_back(BadValue(at, excepts[i], "must be a strict subset of `cidr`"));
    }
  }
}

void CheckPeer(const Value& peer, const std::string& path, Causes* out) {
  int given = 0;
  for (const char* key : {"podSelector", "namespaceSelector"}) {
    if (!peer.Find(key)) continue;
    ++given;
    CheckSelector(peer.Find(key), path + "." + key, out);
  }
  if (const Value* block = peer.Find("ipBlock")) {
    if (given > 0)
      out->push_back(Prohibited(path, "may not specify both ipBlock and another peer"));
    ++given;
    CheckIpBlock(*block, path + ".ipBlock", out);
  }
  if (given == 0) out->push_back(Required(path, "must specify a peer"));
}

void CheckPolicyPort(const Value& port, const std::string& path, Causes* out) {
  CheckProtocol(port, path, out);
  const Value* number = port.Find("port");
  if (number) CheckPortOrName(*number, path + ".port", out);
  const Value* end = port.Find("endPort");
  if (!end) return;
  if (!number) {
    out->push_back(Required(path + ".port", "must be specified when endPort is specified"));
  } else if (number->type != Value::Type::kInteger) {
    out->push_back(
        BadValue(path + ".endPort", *end, "may not be specified when `port` is non-numeric"));
  } else if (end->integer < number->integer) {
    out->push_back(BadValue(path + ".endPort", *end, "must be greater than or equal to `port`"));
  } else {
    CheckPort(end, path + ".endPort", out);
  }
}

}  // namespace

void CheckNetworkPolicy(const Value& policy, const Value*, Causes* out) {
  const Value& spec = *policy.Find("spec");
  CheckSelector(spec.Find("podSelector"), "spec.podSelector", out);
  for (auto [direction, peers] : {std::pair{"ingress", "from"}, std::pair{"egress", "to"}}) {
    const std::vector<Value>& rules = Items(spec.Find(direction));
    for (size_t i = 0; i < rules.size(); ++i) {
      std::string at = Index(std::string("spec.") + direction, i);
      const std::vector<Value>& ports = Items(rules[i].Find("ports"));
      for (size_t j = 0; j < ports.size(); ++j)
        CheckPolicyPort(ports[j], Index(at + ".ports", j), out);
      const std::vector<Value>& list = Items(rules[i].Find(peers));
      for (size_t j = 0; j < list.size(); ++j) CheckPeer(list[j], Index(at + "." + peers, j), out);
    }
  }
  std::vector<std::string> types = Texts(spec.Find("policyTypes"));
  if (types.size() > 2) {
    out->push_back(BadValue("spec.policyTypes", *spec.Find("policyTypes"),
                            "may not specify more than two policyTypes"));
    return;
  }
  for (size_t i = 0; i < types.size(); ++i)
    if (types[i] != "Ingress" && types[i] != "Egress")
      out->push_back(Unsupported(Index("spec.policyTypes", i), types[i], {"Egress", "Ingress"}));
}

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>

#include "lab/proxy_rules.h"
#include "lab/workload_names.h"

namespace sallyport::lab {
namespace {

// Names in nftables may have up to 255 characters.
constexpr size_t kLongestName = 200;
constexpr const char* kVerdictByAddress = " . inet_proto . inet_service : verdict ; ";

std::string Target(const net::Address& address, uint16_t port) {
  std::string number = std::to_string(port);
  return address.IsV4() ? address.ToString() + ":" + number
                        : "[" + address.ToString() + "]:" + number;
}

class TableMaker {
 public:
  TableMaker(const ProxyConfig& config, bool v6) : config_(config), ip_(v6 ? "ip6" : "ip") {
    table_.v6 = v6;
    for (const net::Cidr& cidr : config.pod_cidrs)
      if (cidr.IsV4() != v6 && pods_.empty()) pods_ = cidr.ToString();
  }

  NftTable Make(const std::vector<ServicePort>& ports) {
    DeclareMaps();
    BaseChains();
    for (const net::Address& address : config_.node_addresses)
      if (address.IsV4() != table_.v6) table_.maps["nodeport-ips"].elements[address.ToString()];
    for (const ServicePort& port : ports)
      if (port.cluster_ip.IsV4() != table_.v6) AddPort(port);
    return std::move(table_);
  }

 private:
  void DeclareMaps() {
    std::string address = table_.v6 ? "ipv6_addr" : "ipv4_addr";
    for (const char* set : {"cluster-ips", "nodeport-ips"})
      table_.maps[set].declaration = "type " + address + " ; ";
    for (const char* map : {"no-endpoint-services", "firewall-ips", "service-ips"})
      table_.maps[map].declaration = "type " + address + kVerdictByAddress;
    for (const char* map : {"no-endpoint-nodeports", "service-nodeports"})
      table_.maps[map].declaration = "type inet_proto . inet_service : verdict ; ";
  }

  void Base(const std::string& name, const std::string& hook, std::vector<std::string> rules) {
    table_.chains[name] = {hook, std::move(rules)};
  }

  // What is not translated by the time it is forwarded, delivered or sent has no endpoint to go to.
  void BaseChains() {
    const std::string by_address = ip_ + " daddr . meta l4proto . th dport vmap @";
    const std::string by_node_port = ip_ + " daddr @nodeport-ips meta l4proto . th dport vmap @";
    Base("filter-prerouting-pre-dnat", "type filter hook prerouting priority -110 ; ",
         {"ct state new jump firewall-check"});
    Base("filter-output-pre-dnat", "type filter hook output priority -110 ; ",
         {"ct state new jump firewall-check"});
    Base("filter-input", "type filter hook input priority -110 ; ",
         {"ct state new jump nodeport-endpoints-check",
          "ct state new jump service-endpoints-check"});
    Base("filter-forward", "type filter hook forward priority -110 ; ",
         {"ct state new jump service-endpoints-check", "ct state new jump cluster-ips-check"});
    Base("filter-output-post-dnat", "type filter hook output priority -90 ; ",
         {"ct state new jump nodeport-endpoints-check", "ct state new jump service-endpoints-check",
          "ct state new jump cluster-ips-check"});
    Base("nat-prerouting", "type nat hook prerouting priority -100 ; ", {"jump services"});
    Base("nat-output", "type nat hook output priority -100 ; ", {"jump services"});
    Base("nat-postrouting", "type nat hook postrouting priority 100 ; ", {"jump masquerading"});
    Base("firewall-check", "", {by_address + "firewall-ips"});
    Base("nodeport-endpoints-check", "", {by_node_port + "no-endpoint-nodeports"});
    Base("service-endpoints-check", "", {by_address + "no-endpoint-services"});
    Base("reject-chain", "", {"reject"});
    Base("cluster-ips-check", "", {ip_ + " daddr @cluster-ips reject"});
    for (const net::Cidr& cidr : config_.service_cidrs)
      if (cidr.IsV4() != table_.v6)
        table_.chains["cluster-ips-check"].rules.push_back(ip_ + " daddr " + cidr.ToString() +
                                                           " drop");
    Base("services", "", {by_address + "service-ips", by_node_port + "service-nodeports"});
    Base("mark-for-masquerade", "", {"meta mark set meta mark or 0x4000"});
    Base("masquerading", "",
         {"meta mark and 0x4000 == 0 return", "meta mark set meta mark xor 0x4000",
          "masquerade fully-random"});
  }

  std::string Name(const char* kind, const ServicePort& port, const std::string& more = "") const {
    std::string text = port.service.ToString() + "/" + LowerProtocol(port.protocol) + "/" +
                       port.name + (more.empty() ? "" : "__" + more);
    std::string name = kind + Letters(text, 8) + "-" + text;
    std::replace(name.begin(), name.end(), ':', '.');
    return name.substr(0, kLongestName);
  }
  static std::string EndpointText(const ProxyEndpoint& endpoint) {
    return endpoint.address.ToString() + "/" + std::to_string(endpoint.port);
  }
  // A set cannot change its time: another time is another set.
  std::string AffinitySet(const ServicePort& port, const ProxyEndpoint& endpoint) const {
    return Name("affinity-", port,
                EndpointText(endpoint) + "/" + std::to_string(port.affinity_seconds));
  }

  void Element(const char* map, const net::Address& address, const ServicePort& port,
               const std::string& verdict) {
    table_.maps[map].elements[address.ToString() + " . " + LowerProtocol(port.protocol) + " . " +
                              std::to_string(port.port)] = verdict;
  }
  void NodePortElement(const char* map, const ServicePort& port, const std::string& verdict) {
    table_.maps[map]
        .elements[LowerProtocol(port.protocol) + " . " + std::to_string(port.node_port)] = verdict;
  }

  void AddPort(const ServicePort& port) {
    table_.maps["cluster-ips"].elements[port.cluster_ip.ToString()];
    std::vector<net::Address> external = port.external_ips;
    external.insert(external.end(), port.balancer_ips.begin(), port.balancer_ips.end());
    if (port.limited && !port.balancer_ips.empty()) AddFirewall(port);
    if (port.endpoints.empty()) {
      Element("no-endpoint-services", port.cluster_ip, port, "goto reject-chain");
      for (const net::Address& address : external)
        Element("no-endpoint-services", address, port, "goto reject-chain");
      if (port.node_port) NodePortElement("no-endpoint-nodeports", port, "goto reject-chain");
      return;
    }
    std::string everywhere = Name("service-", port);
    std::string here = Name("local-", port);
    Balance(everywhere, port, port.endpoints);
    if (!port.local_endpoints.empty()) Balance(here, port, port.local_endpoints);
    if (port.internal_local && port.local_endpoints.empty()) {
      Element("no-endpoint-services", port.cluster_ip, port, "drop");
    } else {
      Element("service-ips", port.cluster_ip, port,
              "goto " + (port.internal_local ? here : everywhere));
    }
    if (!external.empty() || port.node_port) AddExternal(port, external, everywhere, here);
  }

  // By an address that is no cluster IP. What a Local policy leaves without an endpoint is dropped,
  // but for who is in the cluster: that goes to all endpoints.
  void AddExternal(const ServicePort& port, const std::vector<net::Address>& external,
                   const std::string& everywhere, const std::string& here) {
    std::string name = Name("external-", port);
    std::vector<std::string>& rules = table_.chains[name].rules;
    if (!port.external_local) {
      rules = {"jump mark-for-masquerade", "goto " + everywhere};
    } else {
      if (!pods_.empty()) rules.push_back(ip_ + " saddr " + pods_ + " goto " + everywhere);
      rules.push_back("fib saddr type local jump mark-for-masquerade");
      rules.push_back("fib saddr type local goto " + everywhere);
      if (!port.local_endpoints.empty()) rules.push_back("goto " + here);
    }
    bool none = port.external_local && port.local_endpoints.empty();
    for (const net::Address& address : external) {
      Element("service-ips", address, port, "goto " + name);
      if (none) Element("no-endpoint-services", address, port, "drop");
    }
    if (!port.node_port) return;
    NodePortElement("service-nodeports", port, "goto " + name);
    if (none) NodePortElement("no-endpoint-nodeports", port, "drop");
  }

  void AddFirewall(const ServicePort& port) {
    std::string name = Name("firewall-", port);
    std::vector<std::string>& rules = table_.chains[name].rules;
    for (const net::Cidr& range : port.source_ranges)
      rules.push_back(ip_ + " saddr " + range.ToString() + " return");
    rules.emplace_back("drop");
    for (const net::Address& address : port.balancer_ips)
      Element("firewall-ips", address, port, "goto " + name);
  }

  // A chain that sends to one of the endpoints: the one that the client had last, or any.
  void Balance(const std::string& name, const ServicePort& port,
               const std::vector<ProxyEndpoint>& endpoints) {
    std::vector<std::string> rules;
    std::string to_cluster_ip = ip_ + " daddr " + port.cluster_ip.ToString() + " " +
                                LowerProtocol(port.protocol) + " dport " +
                                std::to_string(port.port);
    if (config_.masquerade_all) {
      rules.push_back(to_cluster_ip + " jump mark-for-masquerade");
    } else if (!pods_.empty()) {
      rules.push_back(to_cluster_ip + " " + ip_ + " saddr != " + pods_ +
                      " jump mark-for-masquerade");
    }
    std::string choices;
    int number = 0;
    for (const ProxyEndpoint& endpoint : endpoints) {
      std::string chain = AddEndpoint(port, endpoint);
      if (port.affinity_seconds)
        rules.push_back(ip_ + " saddr @" + AffinitySet(port, endpoint) + " goto " + chain);
      choices += (number ? ", " : "") + std::to_string(number) + " : goto " + chain;
      ++number;
    }
    rules.push_back("numgen random mod " + std::to_string(number) + " vmap { " + choices + " }");
    table_.chains[name].rules = std::move(rules);
  }

  std::string AddEndpoint(const ServicePort& port, const ProxyEndpoint& endpoint) {
    std::string name = Name("endpoint-", port, EndpointText(endpoint));
    std::vector<std::string> rules = {ip_ + " saddr " + endpoint.address.ToString() +
                                      " jump mark-for-masquerade"};
    if (port.affinity_seconds) {
      std::string set = AffinitySet(port, endpoint);
      table_.maps[set].declaration =
          std::string("type ") + (table_.v6 ? "ipv6_addr" : "ipv4_addr") +
          " ; flags dynamic,timeout ; timeout " + std::to_string(port.affinity_seconds) + "s ; ";
      rules.push_back("update @" + set + " { " + ip_ + " saddr }");
    }
    rules.push_back("meta l4proto " + LowerProtocol(port.protocol) + " dnat to " +
                    Target(endpoint.address, endpoint.port));
    table_.chains[name].rules = std::move(rules);
    return name;
  }

  const ProxyConfig& config_;
  std::string ip_;
  std::string pods_;  // "" unknown
  NftTable table_;
};

// The lines of one transaction.
class Transaction {
 public:
  explicit Transaction(bool v6) : table_(std::string(v6 ? "ip6" : "ip") + " kube-proxy") {}

  void Line(const std::string& verb, const std::string& what, const std::string& rest) {
    text_ += verb + " " + what + " " + table_ + " " + rest + "\n";
  }
  void Table(const std::string& verb) { text_ += verb + " table " + table_ + "\n"; }
  static std::string KindOf(const NftTable::Map& map) {
    return map.declaration.find(" : ") == std::string::npos ? "set" : "map";
  }
  void DeclareMap(const std::string& name, const NftTable::Map& map) {
    Line("add", KindOf(map), name + " { " + map.declaration + "}");
  }
  void DeclareChain(const std::string& name, const NftTable::Chain& chain) {
    Line("add", "chain", name + (chain.hook.empty() ? "" : " { " + chain.hook + "}"));
  }
  void AddRules(const std::string& name, const NftTable::Chain& chain) {
    for (const std::string& rule : chain.rules) Line("add", "rule", name + " " + rule);
  }
  void Element(const std::string& verb, const std::string& map, const std::string& key,
               const std::string& verdict) {
    Line(verb, "element", map + " { " + key + (verdict.empty() ? "" : " : " + verdict) + " }");
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string table_;
  std::string text_;
};

template <typename T>
const T* FindIn(const std::map<std::string, T>& map, const std::string& key) {
  auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

void UpdateElements(const NftTable& from, const NftTable& to, bool remove, Transaction* out) {
  static const NftTable::Map kNone;
  for (const auto& [name, map] : remove ? from.maps : to.maps) {
    const NftTable::Map* other = FindIn(remove ? to.maps : from.maps, name);
    if (!other) other = &kNone;
    for (const auto& [key, verdict] : map.elements) {
      const std::string* there = FindIn(other->elements, key);
      if (!there || *there != verdict) out->Element(remove ? "delete" : "add", name, key, verdict);
    }
  }
}

}  // namespace

NftTable MakeNftTable(const std::vector<ServicePort>& ports, const ProxyConfig& config, bool v6) {
  return TableMaker(config, v6).Make(ports);
}

std::string NftReplace(const NftTable& table) {
  Transaction out(table.v6);
  out.Table("add");
  out.Table("delete");
  out.Table("add");
  NftTable nothing;
  nothing.v6 = table.v6;
  return out.Take() + NftUpdate(nothing, table);
}

// In an order in which nothing refers to what is not there (any more): new names, rules that go,
// elements that go, rules, elements, names that go.
std::string NftUpdate(const NftTable& from, const NftTable& to) {
  if (from == to) return "";
  Transaction out(to.v6);
  for (const auto& [name, chain] : to.chains)
    if (!FindIn(from.chains, name)) out.DeclareChain(name, chain);
  for (const auto& [name, chain] : from.chains) {
    const NftTable::Chain* wanted = FindIn(to.chains, name);
    if (!wanted || *wanted != chain) out.Line("flush", "chain", name);
  }
  UpdateElements(from, to, true, &out);
  for (const auto& [name, map] : from.maps)
    if (!FindIn(to.maps, name)) out.Line("delete", Transaction::KindOf(map), name);
  for (const auto& [name, map] : to.maps)
    if (!FindIn(from.maps, name)) out.DeclareMap(name, map);
  for (const auto& [name, chain] : to.chains) {
    const NftTable::Chain* old = FindIn(from.chains, name);
    if (!old || *old != chain) out.AddRules(name, chain);
  }
  UpdateElements(from, to, false, &out);
  for (const auto& [name, chain] : from.chains)
    if (!FindIn(to.chains, name)) out.Line("delete", "chain", name);
  return out.Take();
}

}  // namespace sallyport::lab

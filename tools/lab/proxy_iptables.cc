// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <sstream>
#include <string>

#include "lab/proxy_rules.h"
#include "lab/workload_names.h"

namespace sallyport::lab {
namespace {

struct Jump {
  const char* table;
  const char* from;
  const char* match;
  const char* to;
};

constexpr const char* kNew = "-m conntrack --ctstate NEW ";
// Last ones first: each is put in front of what is there.
constexpr std::array<Jump, 11> kJumps = {{
    {"filter", "INPUT", kNew, "KUBE-EXTERNAL-SERVICES"},
    {"filter", "INPUT", kNew, "KUBE-PROXY-FIREWALL"},
    {"filter", "FORWARD", kNew, "KUBE-EXTERNAL-SERVICES"},
    {"filter", "FORWARD", kNew, "KUBE-SERVICES"},
    {"filter", "FORWARD", "", "KUBE-FORWARD"},
    {"filter", "FORWARD", kNew, "KUBE-PROXY-FIREWALL"},
    {"filter", "OUTPUT", kNew, "KUBE-SERVICES"},
    {"filter", "OUTPUT", kNew, "KUBE-PROXY-FIREWALL"},
    {"nat", "PREROUTING", "", "KUBE-SERVICES"},
    {"nat", "OUTPUT", "", "KUBE-SERVICES"},
    {"nat", "POSTROUTING", "", "KUBE-POSTROUTING"},
}};

// Chain names have at most 28 characters.
std::string ChainName(const char* kind, const ServicePort& port, const std::string& more = "") {
  std::string hash = Letters(port.ToString() + "/" + net::ToString(port.protocol) + more, 12);
  for (char& c : hash)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c & ~0x20);
  return std::string("KUBE-") + kind + "-" + hash;
}

class RuleMaker {
 public:
  RuleMaker(const ProxyConfig& config, bool v6) : config_(config), v6_(v6) {
    for (const net::Cidr& cidr : config.pod_cidrs)
      if (cidr.IsV4() != v6 && pods_.empty()) pods_ = cidr.ToString();
  }

  std::string Make(const std::vector<ServicePort>& ports, const IptablesState& now) {
    for (const char* chain : {"KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"})
      filter_[chain];
    filter_["KUBE-FORWARD"] = {"-m conntrack --ctstate INVALID -j DROP",
                               "-m mark --mark 0x4000/0x4000 -j ACCEPT",
                               "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"};
    nat_["KUBE-SERVICES"];
    nat_["KUBE-NODEPORTS"];
    nat_["KUBE-MARK-MASQ"] = {"-j MARK --or-mark 0x4000"};
    nat_["KUBE-POSTROUTING"] = {"-m mark ! --mark 0x4000/0x4000 -j RETURN",
                                "-j MARK --xor-mark 0x4000", "-j MASQUERADE --random-fully"};
    for (const ServicePort& port : ports)
      if (port.cluster_ip.IsV4() != v6_) AddPort(port);
    // The last rule: whoever has a cluster IP's address has been found by then.
    nat_["KUBE-SERVICES"].push_back(std::string("! -d ") + (v6_ ? "::1/128" : "127.0.0.0/8") +
                                    " -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS");
    return Print("filter", filter_, now) + Print("nat", nat_, now);
  }

 private:
  using Chains = std::map<std::string, std::vector<std::string>>;

  static std::string Comment(const ServicePort& port, const std::string& what) {
    return "-m comment --comment \"" + port.ToString() + what + "\" ";
  }
  static std::string Match(const ServicePort& port, const net::Address& address) {
    std::string protocol = LowerProtocol(port.protocol);
    return "-p " + protocol + " -m " + protocol + " -d " + address.ToString() + " --dport " +
           std::to_string(port.port);
  }
  static std::string MatchNodePort(const ServicePort& port) {
    std::string protocol = LowerProtocol(port.protocol);
    return "-p " + protocol + " -m " + protocol + " --dport " + std::to_string(port.node_port);
  }

  void AddPort(const ServicePort& port) {
    bool local = port.internal_local;
    bool any = !port.endpoints.empty();
    std::string everywhere = ChainName("SVC", port);
    std::string here = ChainName("SVL", port);
    if (any) {
      Balance(everywhere, port, port.endpoints);
      if (!port.local_endpoints.empty()) Balance(here, port, port.local_endpoints);
    }
    if (!any || (local && port.local_endpoints.empty())) {
      filter_["KUBE-SERVICES"].push_back(Refusal(port, !any) + Match(port, port.cluster_ip) +
                                         Verdict(!any));
    } else {
      nat_["KUBE-SERVICES"].push_back(Comment(port, " cluster IP") + Match(port, port.cluster_ip) +
                                      " -j " + (local ? here : everywhere));
    }
    if (port.external_ips.empty() && port.balancer_ips.empty() && !port.node_port) return;
    if (any) AddExternalChain(port, everywhere, here);
    AddExternal(port);
  }

  static std::string Refusal(const ServicePort& port, bool none) {
    return Comment(port, none ? " has no endpoints" : " has no local endpoints");
  }
  static std::string Verdict(bool none) { return none ? " -j REJECT" : " -j DROP"; }

  void AddExternal(const ServicePort& port) {
    std::string chain = ChainName("EXT", port);
    bool any = !port.endpoints.empty();
    bool refused = !any || (port.external_local && port.local_endpoints.empty());
    for (const net::Address& address : port.external_ips) {
      if (any)
        nat_["KUBE-SERVICES"].push_back(Comment(port, " external IP") + Match(port, address) +
                                        " -j " + chain);
      if (refused)
        filter_["KUBE-EXTERNAL-SERVICES"].push_back(Refusal(port, !any) + Match(port, address) +
                                                    Verdict(!any));
    }
    for (const net::Address& address : port.balancer_ips) AddBalancer(port, address, chain);
    if (!port.node_port) return;
    if (any)
      nat_["KUBE-NODEPORTS"].push_back(Comment(port, "") + MatchNodePort(port) + " -j " + chain);
    if (refused)
      filter_["KUBE-EXTERNAL-SERVICES"].push_back(Refusal(port, !any) +
                                                  "-m addrtype --dst-type LOCAL " +
                                                  MatchNodePort(port) + Verdict(!any));
  }

  // Who is in none of the source ranges is not translated, and what is not translated is dropped.
  void AddBalancer(const ServicePort& port, const net::Address& address,
                   const std::string& external) {
    bool any = !port.endpoints.empty();
    std::string target = external;
    if (port.limited) {
      target = ChainName("FW", port);
      auto& rules = nat_[target];
      if (rules.empty() && any)
        for (const net::Cidr& range : port.source_ranges)
          rules.push_back("-s " + range.ToString() + " -j " + external);
      filter_["KUBE-PROXY-FIREWALL"].push_back(
          Comment(port, " traffic not accepted by its source ranges") + Match(port, address) +
          " -j DROP");
    }
    if (any)
      nat_["KUBE-SERVICES"].push_back(Comment(port, " loadbalancer IP") + Match(port, address) +
                                      " -j " + target);
    if (!any || (port.external_local && port.local_endpoints.empty()))
      filter_["KUBE-EXTERNAL-SERVICES"].push_back(Refusal(port, !any) + Match(port, address) +
                                                  Verdict(!any));
  }

  void AddExternalChain(const ServicePort& port, const std::string& everywhere,
                        const std::string& here) {
    auto& rules = nat_[ChainName("EXT", port)];
    if (!port.external_local) {
      rules = {"-j KUBE-MARK-MASQ", "-j " + everywhere};
      return;
    }
    if (!pods_.empty()) rules.push_back("-s " + pods_ + " -j " + everywhere);
    rules.push_back("-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ");
    rules.push_back("-m addrtype --src-type LOCAL -j " + everywhere);
    if (!port.local_endpoints.empty()) rules.push_back("-j " + here);
  }

  void Balance(const std::string& name, const ServicePort& port,
               const std::vector<ProxyEndpoint>& endpoints) {
    std::vector<std::string> rules;
    std::string to_cluster_ip = Match(port, port.cluster_ip);
    if (config_.masquerade_all) {
      rules.push_back(to_cluster_ip + " -j KUBE-MARK-MASQ");
    } else if (!pods_.empty()) {
      rules.push_back(to_cluster_ip + " ! -s " + pods_ + " -j KUBE-MARK-MASQ");
    }
    if (port.affinity_seconds)
      for (const ProxyEndpoint& endpoint : endpoints) {
        std::string chain = EndpointChain(port, endpoint);
        rules.push_back("-m recent --name " + chain + " --rcheck --seconds " +
                        std::to_string(port.affinity_seconds) + " --reap --rsource -j " + chain);
      }
    for (size_t i = 0; i < endpoints.size(); ++i) {
      std::string rule;
      if (size_t left = endpoints.size() - i; left > 1) {
        char text[96];
        std::snprintf(text, sizeof text, "-m statistic --mode random --probability %.10f ",
                      1.0 / static_cast<double>(left));
        rule = text;
      }
      rules.push_back(rule + "-j " + AddEndpoint(port, endpoints[i]));
    }
    nat_[name] = std::move(rules);
  }

  static std::string EndpointChain(const ServicePort& port, const ProxyEndpoint& endpoint) {
    return ChainName("SEP", port,
                     endpoint.address.ToString() + "/" + std::to_string(endpoint.port));
  }

  std::string AddEndpoint(const ServicePort& port, const ProxyEndpoint& endpoint) {
    std::string chain = EndpointChain(port, endpoint);
    std::string protocol = LowerProtocol(port.protocol);
    std::string address = endpoint.address.ToString();
    std::string remember =
        port.affinity_seconds ? "-m recent --name " + chain + " --set --rsource " : "";
    nat_[chain] = {Comment(port, "") + "-s " + address + " -j KUBE-MARK-MASQ",
                   Comment(port, "") + remember + "-p " + protocol + " -m " + protocol +
                       " -j DNAT --to-destination " + (v6_ ? "[" + address + "]" : address) + ":" +
                       std::to_string(endpoint.port)};
    return chain;
  }

  static std::string Print(const std::string& table, const Chains& wanted,
                           const IptablesState& now) {
    std::string declared;
    std::string rules;
    std::string removed;
    for (const auto& [chain, lines] : wanted) {
      declared += ":" + chain + " - [0:0]\n";
      for (const std::string& line : lines)
        rules.append("-A ").append(chain).append(" " + line + "\n");
    }
    for (const auto& [its_table, chain] : now.chains) {
      if (its_table != table || wanted.contains(chain)) continue;
      declared += ":" + chain + " - [0:0]\n";  // which empties it
      removed += "-X " + chain + "\n";
    }
    for (const Jump& jump : kJumps)
      if (table == jump.table && !now.jumps.contains({{table, jump.from}, jump.to}))
        rules += std::string("-I ") + jump.from + " " + jump.match + "-j " + jump.to + "\n";
    return "*" + table + "\n" + declared + rules + removed + "COMMIT\n";
  }

  const ProxyConfig& config_;
  bool v6_;
  std::string pods_;  // "" unknown
  Chains filter_;
  Chains nat_;
};

}  // namespace

IptablesState ParseIptablesSave(const std::string& text) {
  IptablesState out;
  std::string table;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("*")) table = line.substr(1);
    if (line.starts_with(":KUBE-")) out.chains.insert({table, line.substr(1, line.find(' ') - 1)});
    size_t target = line.rfind(" -j KUBE-");
    if (!line.starts_with("-A ") || line.starts_with("-A KUBE-") || target == std::string::npos)
      continue;
    std::string from = line.substr(3, line.find(' ', 3) - 3);
    std::string to = line.substr(target + 4);
    out.jumps.insert({{table, from}, to.substr(0, to.find(' '))});
  }
  return out;
}

std::string MakeIptables(const std::vector<ServicePort>& ports, const ProxyConfig& config, bool v6,
                         const IptablesState& now) {
  return RuleMaker(config, v6).Make(ports, now);
}

}  // namespace sallyport::lab

// SPDX-License-Identifier: Apache-2.0
#include "egress/cluster.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <tuple>
#include <utility>

namespace sallyport::egress {
namespace {

struct Special {
  net::Cidr range;
  std::string_view what;
};

const std::vector<Special>& Specials() {
  static const std::vector<Special> specials = [] {
    std::vector<Special> out;
    for (auto [text, what] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"169.254.0.0/16", "link-local"},
             {"fe80::/10", "link-local"},
             {"224.0.0.0/4", "multicast"},
             {"ff00::/8", "multicast"},
             {"127.0.0.0/8", "loopback"},
             {"::1/128", "loopback"},
             {"0.0.0.0/32", "unspecified"},
             {"::/128", "unspecified"},
             {"255.255.255.255/32", "broadcast"}}) {
      out.push_back({*net::Cidr::Parse(text), what});
    }
    return out;
  }();
  return specials;
}

net::Cidr Single(const net::Address& address) {
  return net::Cidr(address, address.IsV4() ? 32 : 128);
}

bool IsEgressIp(const model::Snapshot& snapshot, const net::Address& address) {
  return std::any_of(snapshot.egress_gateways.begin(), snapshot.egress_gateways.end(),
                     [&](const auto& entry) {
                       const std::vector<net::Address>& ips = entry.second->egress_ips;
                       return std::find(ips.begin(), ips.end(), address) != ips.end();
                     });
}

Ranges PodRanges(const model::Snapshot& snapshot) {
  std::vector<net::Cidr> all;
  for (const auto& [name, node] : snapshot.nodes) {
    all.insert(all.end(), node->pod_cidrs.begin(), node->pod_cidrs.end());
  }
  return Fewest(std::move(all));
}

bool Has(const std::vector<net::Address>& addresses, const net::Address& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

}  // namespace

bool ByFamily::operator()(const net::Cidr& a, const net::Cidr& b) const {
  return std::make_tuple(a.IsV4(), a) < std::make_tuple(b.IsV4(), b);
}

Ranges Fewest(std::vector<net::Cidr> prefixes) {
  std::sort(prefixes.begin(), prefixes.end(), ByFamily());
  Ranges out;
  for (const net::Cidr& prefix : prefixes) {
    if (!out.empty() && out.back().Contains(prefix)) continue;
    out.push_back(prefix);
    // Two halves are their whole.
    while (out.size() > 1) {
      const net::Cidr& last = out.back();
      const net::Cidr& before = out[out.size() - 2];
      if (last.IsV4() != before.IsV4() || last.length() != before.length()) break;
      net::Cidr whole(before.address(), before.length() - 1);
      if (!whole.Contains(last)) break;
      out.pop_back();
      out.back() = whole;
    }
  }
  return out;
}

const net::Cidr* Find(const Ranges& ranges, const net::Address& address) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), Single(address), ByFamily());
  if (after == ranges.begin()) return nullptr;
  const net::Cidr& range = *std::prev(after);
  return range.Contains(address) ? &range : nullptr;
}

bool Covers(const Ranges& ranges, const net::Cidr& prefix) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), prefix, ByFamily());
  return after != ranges.begin() && std::prev(after)->Contains(prefix);
}

Cluster ClusterOf(const model::Snapshot& snapshot) {
  Cluster out;
  out.pod_ranges = PodRanges(snapshot);
  std::vector<net::Cidr> all = out.pod_ranges;
  auto add = [&](const net::Address& address) { all.push_back(Single(address)); };
  for (const Special& special : Specials()) all.push_back(special.range);
  for (const auto& [name, node] : snapshot.nodes) {
    std::for_each(node->addresses.begin(), node->addresses.end(), add);
  }
  for (const net::Address& address : snapshot.local_addresses) {
    if (!IsEgressIp(snapshot, address)) add(address);
  }
  for (const auto& [name, service] : snapshot.services) {
    for (const net::Address& address : service->Addresses()) add(address);
  }
  for (const auto& [name, pod] : snapshot.pods) {
    if (!pod->IsLive()) continue;
    for (const net::Address& address : pod->addresses) {
      if (Find(out.pod_ranges, address)) continue;
      out.strays.insert(name);
      add(address);
    }
  }
  out.ranges = Fewest(std::move(all));
  return out;
}

std::string WhyNeverPinned(const model::Snapshot& snapshot, const net::Address& address) {
  for (const Special& special : Specials()) {
    if (special.range.Contains(address)) return "it is a " + std::string(special.what) + " address";
  }
  for (const auto& [name, node] : snapshot.nodes) {
    if (Has(node->addresses, address)) return "it is an address of Node " + name;
    for (const net::Cidr& cidr : node->pod_cidrs) {
      if (cidr.Contains(address)) return "it is a pod's: a pod CIDR of Node " + name + " has it";
    }
  }
  if (snapshot.local_addresses.contains(address) && !IsEgressIp(snapshot, address)) {
    return "it is an address of this node";
  }
  for (const auto& [name, service] : snapshot.services) {
    if (Has(service->Addresses(), address)) {
      return "it is an address of Service " + name.ToString();
    }
  }
  for (const auto& [name, pod] : snapshot.pods) {
    if (pod->IsLive() && Has(pod->addresses, address)) {
      return "it is an address of Pod " + name.ToString();
    }
  }
  return "";
}

Owners::Owners(const model::Snapshot& snapshot) : pod_ranges_(PodRanges(snapshot)) {
  for (const auto& [name, service] : snapshot.services) {
    for (const net::Address& address : service->cluster_ips) {
      owners_.try_emplace(address, "Service " + name.ToString());
    }
  }
  for (const auto& [name, pod] : snapshot.pods) {
    if (!pod->IsLive()) continue;
    for (const net::Address& address : pod->addresses) {
      if (!Find(pod_ranges_, address)) owners_.try_emplace(address, "Pod " + name.ToString());
    }
  }
  // A node may well list an egress IP that it holds beside its own addresses, which come first.
  for (const auto& [name, node] : snapshot.nodes) {
    bool seen[2] = {false, false};
    for (const net::Address& address : node->internal_addresses) {
      if (!std::exchange(seen[address.IsV4()], true)) {
        owners_.try_emplace(address, "Node " + name);
      }
    }
  }
}

std::string Owners::WhoseElse(const net::Address& address) const {
  if (auto it = owners_.find(address); it != owners_.end()) {
    return "it is an address of " + it->second;
  }
  if (const net::Cidr* range = Find(pod_ranges_, address)) {
    return "it lies within the pod CIDR " + range->ToString();
  }
  return "";
}

}  // namespace sallyport::egress

// SPDX-License-Identifier: Apache-2.0
#include "model/objects.h"

#include <algorithm>

namespace sallyport::model {

std::string Place::ToString() const {
  return line == 0 || file.empty() ? file : file + ":" + std::to_string(line);
}

bool IpBlock::Contains(const net::Address& address) const {
  return cidr.Contains(address) &&
         std::none_of(except.begin(), except.end(),
                      [&](const net::Cidr& hole) { return hole.Contains(address); });
}

std::string IpBlock::ToString() const {
  std::string out = cidr.ToString();
  for (size_t i = 0; i < except.size(); ++i) {
    out += (i == 0 ? " except " : ",") + except[i].ToString();
  }
  return out;
}

std::vector<net::Address> Service::Addresses() const {
  std::vector<net::Address> out;
  if (type == ServiceType::kExternalName) return out;
  for (const auto* some : {&cluster_ips, &external_ips, &load_balancer_ips}) {
    out.insert(out.end(), some->begin(), some->end());
  }
  return out;
}

std::string ToString(ServiceType type) {
  switch (type) {
    case ServiceType::kClusterIp:
      return "ClusterIP";
    case ServiceType::kNodePort:
      return "NodePort";
    case ServiceType::kLoadBalancer:
      return "LoadBalancer";
    case ServiceType::kExternalName:
      return "ExternalName";
  }
  return "ServiceType " + std::to_string(static_cast<int>(type));
}

}  // namespace sallyport::model

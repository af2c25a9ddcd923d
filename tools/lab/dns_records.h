// SPDX-License-Identifier: Apache-2.0
// The records of the cluster's DNS, after the Kubernetes DNS-based service discovery
// specification 1.1.0. Pure.
//
// All of it is one zone, the root: cluster domain, reverse trees and the hosts outside alike. So
// the server itself follows an ExternalName to a host outside, tells NXDOMAIN (nothing has that
// name) from NODATA, and answers for every name that nobody knows.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lab/tree.h"
#include "net/address.h"

namespace sallyport::lab {

inline constexpr int kDnsTtl = 5;  // seconds

struct DnsHost {
  net::Address address;
  std::vector<std::string> names;
};
// Lines as in /etc/hosts: an address, names, # comments.
Result<std::vector<DnsHost>> ParseHosts(std::string_view text);

struct DnsInputs {
  std::vector<const Value*> services;
  std::vector<const Value*> slices;
  std::vector<const Value*> pods;
  std::vector<DnsHost> hosts;  // outside the cluster
  std::string domain = "cluster.local";
};

// Name, in lower case with a final dot, to its records, each "TYPE data". Names that DNS or a zone
// file could not hold are left out. A name of an ExternalName Service has its CNAME and nothing
// else.
using DnsRecords = std::map<std::string, std::set<std::string>>;
//   <service>.<ns>.svc            A, AAAA   cluster IPs; headless: the ready endpoints
//   _<port>._<proto>.<service>…   SRV       named ports
//   <hostname>.<service>…         A, AAAA   each ready endpoint of a headless Service; without a
//                                           hostname: its address with dashes
//   <a-b-c-d>.<ns>.pod            A, AAAA   pods
//   reverse names                 PTR       cluster IPs and endpoints of headless Services
DnsRecords MakeDnsRecords(const DnsInputs& inputs);

// The zone's file. Deterministic: same records and serial, same text.
std::string ZoneText(const DnsRecords& records, const std::string& domain, uint32_t serial);

}  // namespace sallyport::lab

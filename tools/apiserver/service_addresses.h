// SPDX-License-Identifier: Apache-2.0
// Which cluster addresses and node ports Services have. Used under the writer's lock.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apiserver/status.h"
#include "net/address.h"

namespace sallyport::apiserver {

class ServiceAddresses {
 public:
  // `cidrs`: one or two, of different families; the first one's family is the default.
  explicit ServiceAddresses(std::vector<net::Cidr> cidrs) : cidrs_(std::move(cidrs)) {}

  // Fills in clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy, nodePort and healthCheckNodePort
  // of a Service with defaults, in place of what `old` has; what cannot be had is told as causes.
  // Nothing is taken until Take.
  std::vector<Cause> Fill(Value& service, const Value* old) const;

  // The service is in the store (again), or gone from it.
  void Take(const Value& service);
  void Release(const Value& service);

 private:
  struct Wanted;
  void FillFamilies(Value& spec, const Value* old, std::vector<Cause>* causes) const;
  void FillAddresses(Value& spec, const Value* old, std::vector<Cause>* causes) const;
  void FillPorts(Value& spec, const Value* old, const std::string& owner,
                 std::vector<Cause>* causes) const;
  std::string FreeAddress(const net::Cidr& cidr, std::vector<Cause>* causes) const;

  std::vector<net::Cidr> cidrs_;
  std::map<std::string, std::string> addresses_;  // by address: "ns/name"
  std::map<std::string, std::string> ports_;      // "30080/TCP": "ns/name"
};

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
// Where the pods of this node, and nobody else, have their addresses from: the Node's
// spec.podCIDRs, unless what is known speaks against it. A CNI plugin need not follow them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/snapshot.h"
#include "net/address.h"

namespace sallyport::control {

class Home {
 public:
  explicit Home(std::string node) : node_(std::move(node)) {}

  // What has changed, and stands in `objects` now.
  void Hear(const std::vector<model::Delta>& deltas, const model::Snapshot& objects);
  // Empty while a pod, of whatever node, has an address that is not from its own node's.
  std::vector<net::Cidr> cidrs() const;

 private:
  bool HearOfNode(const model::Delta& delta);
  void HearOfPod(const model::Pod& pod);

  const std::string node_;
  std::map<std::string, std::vector<net::Cidr>> cidrs_;  // by node, where there are any
  std::set<model::ObjectName> strays_;
};

}  // namespace sallyport::control

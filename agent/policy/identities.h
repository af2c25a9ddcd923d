// SPDX-License-Identifier: Apache-2.0
// Identities: numbers for what policies can see of a peer, and nothing else of it.
//
// A signature says which peer groups an address is in, what numbers its pod gives the port names
// that rules for those groups mention, and, of another node, which NodePorts it has. Equal
// signatures are one identity. The number stands for the signature for good: an address whose
// signature changes gets another number.
#pragma once

#include <compare>
#include <unordered_map>

#include "policy/image.h"
#include "policy/interner.h"
#include "policy/number_list.h"
#include "policy/port_spec.h"

namespace sallyport::policy {

using GroupId = uint32_t;

// A table of NodePorts (policy/node_ports.h).
using NodePortsId = uint32_t;
inline constexpr NodePortsId kNoNodePorts = 0;

struct Signature {
  Numbers groups;
  Resolution ports;
  NodePortsId node_ports = kNoNodePorts;  // of other nodes' addresses
  bool empty() const { return groups.empty() && ports.empty() && node_ports == kNoNodePorts; }
  friend auto operator<=>(const Signature&, const Signature&) = default;
};

struct SignatureHash {
  size_t operator()(const Signature& signature) const;
};

class Identities {
 public:
  // Takes a reference. The empty signature is kNoIdentity, which needs none.
  IdentityId Acquire(const Signature& signature);
  void Release(IdentityId id) {
    if (id != kNoIdentity) signatures_.Release(id);
  }
  const Signature& signature(IdentityId id) const;

  // The identities in a group, those with a number for a name, and those with NodePorts.
  const Numbers& WithGroup(GroupId group) const { return Lookup(by_group_, group); }
  const Numbers& WithPort(NamedPortId name) const { return Lookup(by_port_, name); }
  const Numbers& WithNodePorts() const { return with_node_ports_; }

  // Forgets identities without a reference; `gone` sees each, as (id, signature).
  template <typename Gone>
  void Sweep(Gone gone) {
    signatures_.Sweep([&](IdentityId id, const Signature& signature, NoData&) {
      Unlist(id, signature);
      gone(id, signature);
    });
  }
  // Those given out since the last call that are still in use.
  Numbers TakeFresh();

 private:
  using Index = std::unordered_map<uint32_t, Numbers>;

  static const Numbers& Lookup(const Index& index, uint32_t key);
  void Unlist(IdentityId id, const Signature& signature);

  Interner<Signature, SignatureHash, NoData> signatures_{kNoIdentity + 1};
  Index by_group_;
  Index by_port_;
  Numbers with_node_ports_;
  Numbers fresh_;
};

}  // namespace sallyport::policy

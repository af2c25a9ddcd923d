// SPDX-License-Identifier: Apache-2.0
// Identities: numbers for what policies can see of a peer, and nothing else of it.
//
// A signature says which peer groups an address is in, and what numbers its pod gives the port
// names that rules for those groups mention. Equal signatures are one identity. The number stands
// for the signature for good: an address whose signature changes gets another number.
#pragma once

#include <compare>
#include <unordered_map>

#include "policy/image.h"
#include "policy/interner.h"
#include "policy/number_list.h"
#include "policy/port_spec.h"

namespace sallyport::policy {

using GroupId = uint32_t;

struct Signature {
  Numbers groups;
  Resolution ports;
  bool empty() const { return groups.empty() && ports.empty(); }
  friend auto operator<=>(const Signature&, const Signature&) = default;
};

class Identities {
 public:
  // Takes a reference. The empty signature is kNoIdentity, which needs none.
  IdentityId Acquire(const Signature& signature);
  void Release(IdentityId id) {
    if (id != kNoIdentity) signatures_.Release(id);
  }
  const Signature& signature(IdentityId id) const;

  // The identities in a group, and those with a number for a name.
  const Numbers& WithGroup(GroupId group) const { return Lookup(by_group_, group); }
  const Numbers& WithPort(NamedPortId name) const { return Lookup(by_port_, name); }

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
  struct Hash {
    size_t operator()(const Signature& signature) const;
  };

  static const Numbers& Lookup(const Index& index, uint32_t key);
  void Unlist(IdentityId id, const Signature& signature);

  Interner<Signature, Hash, NoData> signatures_{kNoIdentity + 1};
  Index by_group_;
  Index by_port_;
  Numbers fresh_;
};

}  // namespace sallyport::policy

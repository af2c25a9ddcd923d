// SPDX-License-Identifier: Apache-2.0
// The table "endpoints": which interface enforces which policy sets, and whether it is open.
//
// Addresses have no halves. One that an endpoint loses goes right before the flip, one that it gets
// comes a grace period after it: nobody has an address under a policy that knows it as another's.
// The endpoint stays open, with the addresses that it keeps.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "dataplane/dataplane.h"
#include "dataplane/tables.h"

namespace sallyport::dataplane {

class EndpointTable {
 public:
  // The kernel's number of a policy set of the image; requires that it is in the image.
  using SetNumber = std::function<uint32_t(policy::SetId)>;

  // The same of what a binding is pinned to, 0 for nothing.
  using PinsNumber = std::function<uint32_t(const Binding&)>;

  // Both outlive the table.
  EndpointTable(Tables& tables, const Surroundings& around);

  // Keeps what is open in `half`, makes the other half the same.
  void Adopt(uint32_t half);
  // Policy sets that endpoints in force refer to.
  std::vector<uint32_t> SetsInForce(uint32_t half) const;

  // Gives places to the bindings that the image has endpoints for. Returns those that have one.
  // On failure (a grace period, two pods on one interface): call Undo().
  Result<Bindings> Admit(const policy::Image& image, const Bindings& bindings);
  // Writes into half `next` what differs from the other: open are `admitted`, or some of them.
  void Prepare(const policy::Image& image, const Bindings& admitted, const SetNumber& set_number,
               const PinsNumber& pins_number, uint32_t next);
  bool changed() const { return !edits_.empty(); }
  // Some endpoint has not got all of its addresses before Settle().
  bool readdresses() const;
  void Undo();
  // After the flip and a grace period. Readdress() first: true if a further grace period must pass
  // before Settle(), so that no program puts an address together from two.
  bool Readdress();
  void Settle();

  // By ifindex; the place in the table.
  const std::unordered_map<uint32_t, uint32_t>& places() const { return places_; }
  size_t used() const { return places_.size(); }
  size_t capacity() const { return endpoints_.size() / 2; }  // usable places

 private:
  struct Addresses {  // IPv4, IPv6; all zero where there is none
    sp_address of[2] = {};
    bool IsSame(int family, const Addresses& b) const {
      return SameAddress(of[family], b.of[family]);
    }
    friend bool operator==(const Addresses& a, const Addresses& b) {
      return a.IsSame(0, b) && a.IsSame(1, b);
    }
  };
  struct State {
    uint32_t flags = 0;
    uint32_t set[2] = {};
  };
  struct Edit {
    uint32_t place;
    State state;
    Addresses before = {}, after = {};
  };
  static Addresses Of(const Binding& binding);
  static Addresses Of(const sp_endpoint& endpoint);

  // The place of `ifindex`, or a free one that it may have; the capacity if there is none.
  uint32_t PlaceFor(uint32_t ifindex) const;
  // False: there is none.
  Result<bool> GivePlace(const Binding& binding);
  void Write(uint32_t place, const State& state, uint32_t half);
  void Edited(const Edit& edit, uint32_t next);
  void HideLostAddresses();
  void WriteTelling(uint32_t place, const Addresses& addresses);
  // `read`: was open once, so a program may still read it: not used again before a grace period.
  void Free(uint32_t place, bool read);
  void AfterGrace();

  std::span<sp_endpoint> endpoints_;
  const Surroundings& around_;
  std::unordered_map<uint32_t, uint32_t> places_;
  std::vector<bool> waiting_;  // freed, waits for a grace period
  std::vector<uint32_t> left_;
  std::vector<Edit> edits_;
  std::vector<uint32_t> created_;  // places given by the last Admit()
  bool needs_grace_ = false;
  uint32_t next_ = 0;
};

}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// The table "endpoints": which interface enforces which policy sets, and whether it is open.
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

  // Both outlive the table.
  EndpointTable(Tables& tables, const Surroundings& around);

  // Keeps what is open in `half`, makes the other half the same.
  void Adopt(uint32_t half);
  // Policy sets that endpoints in force refer to.
  std::vector<uint32_t> SetsInForce(uint32_t half) const;

  // Open endpoints whose addresses changed: closes them in half `next`. Addresses have no halves,
  // so such an endpoint is closed, settled, and opened again by the Prepare() that follows. True if
  // there are any.
  bool CloseReaddressed(const Bindings& bindings, uint32_t next);

  // Writes into half `next` what differs from the other. On failure: call Undo().
  Status Prepare(const policy::Image& image, const Bindings& bindings, const SetNumber& set_number,
                 uint32_t next);
  bool changed() const { return !edits_.empty(); }
  void Undo();
  // After the flip and a grace period.
  void Settle();

  // By ifindex; the place in the table.
  const std::unordered_map<uint32_t, uint32_t>& places() const { return places_; }
  size_t used() const { return places_.size(); }
  size_t capacity() const { return endpoints_.size() / 2; }  // usable places

 private:
  struct State {
    uint32_t flags = 0;
    uint32_t set[2] = {};
  };
  struct Edit {
    uint32_t place;
    State state;
    bool created;
  };

  // The place of `ifindex`, or a free one that it may have; the capacity if there is none.
  uint32_t PlaceFor(uint32_t ifindex) const;
  Result<Edit> Open(const Binding& binding);
  void Write(uint32_t place, const State& state, uint32_t half);
  void Edited(const Edit& edit, uint32_t next);
  // `read`: was open once, so a program may still read it: not used again before a grace period.
  void Free(uint32_t place, bool read);
  void AfterGrace();

  std::span<sp_endpoint> endpoints_;
  const Surroundings& around_;
  std::unordered_map<uint32_t, uint32_t> places_;
  std::vector<bool> waiting_;  // freed, waits for a grace period
  std::vector<uint32_t> left_;
  std::vector<Edit> edits_;
  uint32_t next_ = 0;
};

}  // namespace sallyport::dataplane

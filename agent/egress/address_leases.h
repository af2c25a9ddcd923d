// SPDX-License-Identifier: Apache-2.0
// The Leases that record who holds each egress IP.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "egress/lease.h"
#include "net/address.h"

namespace sallyport::egress {

struct AddressLease {
  net::Address address;
  std::string holder;      // node
  uint32_t epoch = 0;      // spec.leaseTransitions: grows whenever another takes the address
  std::string renew_time;  // spec.renewTime as it stands
  Millis duration = 0;
  LeaseMeta meta;
  friend bool operator==(const AddressLease&, const AddressLease&) = default;
};
// "address-203.0.113.10", "address-2001-0db8-0000-0000-0000-0000-0000-0010": the Lease's name.
std::string NameOf(const net::Address& address);
std::optional<net::Address> ParseAddressName(std::string_view name);

struct AddressAction {
  enum class Kind { kCreate, kUpdate, kDelete };
  Kind kind = Kind::kCreate;
  // As it shall stand; of kDelete, as it stands. Its meta is the precondition, as of a block's.
  AddressLease lease;
};

}  // namespace sallyport::egress

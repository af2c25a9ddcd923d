// SPDX-License-Identifier: Apache-2.0
// Leases as an API server has them, and what egress/ makes of them. Pure.
//
//   metadata.name                            which block, which address (egress/)
//   metadata.labels    sallyport.io/lease    ports or address; all of ours have it
//   metadata.annotations, of port blocks
//     sallyport.io/ports                     how many ports
//     sallyport.io/boot-id, renewed-ms       of the holder's boot, and its clock since then
//     sallyport.io/exhausted-since           since when the holder finds no more blocks
//   spec.holderIdentity                      the node
//   spec.renewTime, leaseDurationSeconds
//   spec.leaseTransitions                    of addresses: the epoch
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "egress/address_leases.h"
#include "egress/block_leases.h"

namespace sallyport::gateway {

inline constexpr const char* kLeaseLabel = "sallyport.io/lease";

struct LeaseObject {
  std::string name;
  std::map<std::string, std::string> labels, annotations;
  std::string holder;            // "": null, or absent
  std::string renew_time;        // as it stands; "": null, or absent
  int64_t duration_seconds = 0;  // 0: null, or absent
  int64_t transitions = 0;
  egress::LeaseMeta meta;
  friend bool operator==(const LeaseObject&, const LeaseObject&) = default;
};

// An error where it is no object with a name, a uid and a version. A part of spec that is not as it
// should be reads as absent: nobody holds it, it is expired.
Result<LeaseObject> ReadLease(std::string_view json);
// For a request that creates it, or one that replaces the version that `meta` names.
std::string WriteLease(const LeaseObject& lease, const std::string& ns);
// DeleteOptions, of exactly this version of this creation.
std::string WriteDeletion(const egress::LeaseMeta& meta);

// An error says what is wrong with it, and what to do.
Result<egress::BlockLease> ToBlock(const LeaseObject& lease);
Result<egress::AddressLease> ToAddress(const LeaseObject& lease);
LeaseObject ToObject(const egress::BlockLease& lease);
LeaseObject ToObject(const egress::AddressLease& lease);

// What stands in for a block's Lease that is not understood: nobody's, and whatever ports it may
// mean are not free: all from its first one on.
egress::BlockLease ClosedBlock(const egress::BlockId& id, const LeaseObject& lease);

}  // namespace sallyport::gateway

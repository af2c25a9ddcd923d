// SPDX-License-Identifier: Apache-2.0
// The tables of bpf/abi/tables.h as memory: mapped kernel arrays, or plain memory in tests.
#pragma once

#include <cstring>
#include <functional>
#include <set>
#include <span>
#include <string>

#include "abi/egress.h"
#include "abi/hash.h"
#include "abi/tables.h"
#include "base/result.h"
#include "dataplane/pen.h"
#include "net/address.h"

namespace sallyport::dataplane {

struct Tables {
  sp_control* control = nullptr;
  std::span<sp_endpoint> endpoints;  // a power of two, as the next two
  std::span<sp_peer_bucket> peers;
  std::span<sp_rule_bucket> rules;
  std::span<sp_port_set> port_sets;
  std::span<sp_port_page> port_pages;
  std::span<sp_trie_node> prefixes;
  std::span<sp_pin_set> pin_sets;  // may be empty: then everything that is pinned is dropped
  std::span<sp_trie_node> pin_prefixes;
  uint32_t hash_seed = 0;
};

// What writing the tables needs besides memory.
struct Surroundings {
  // Returns when no program that ran at the call is still running.
  std::function<Status()> grace_period = [] { return Ok(); };
  // A place in "endpoints" gets a new owner: its counters start at zero.
  std::function<void(uint32_t place)> reset_counters = [](uint32_t) {};
  // All is written that the next generation needs; it is stored right after this.
  std::function<Status()> before_flip = [] { return Ok(); };
  // The number of an egress IP, SP_PIN_NOWHERE if it has none.
  std::function<uint32_t(const net::Address& egress_ip)> egress_number = [](const net::Address&) {
    return SP_PIN_NOWHERE;
  };
  // All pin sets in force are pinned to these.
  std::function<void(const std::set<net::Address>& egress_ips)> keep_egress_numbers =
      [](const std::set<net::Address>&) {};
  Pen pen;
};

inline sp_address ToAbi(const net::Address& address) {
  sp_address out{};
  std::memcpy(out.bytes, address.bytes().data(), sizeof out.bytes);
  return out;
}

inline net::Address FromAbi(const sp_address& address) {
  net::Address::Bytes bytes;
  std::memcpy(bytes.data(), address.bytes, bytes.size());
  return net::Address(bytes);
}

inline bool SameAddress(const sp_address& a, const sp_address& b) {
  return a.halves[0] == b.halves[0] && a.halves[1] == b.halves[1];
}

}  // namespace sallyport::dataplane

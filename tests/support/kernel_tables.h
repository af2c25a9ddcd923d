// SPDX-License-Identifier: Apache-2.0
// What a test states about endpoints, peers and policy, and how it gets into one half of the mapped
// tables. The inside of Kernel (support/kernel.h).
//
// Tables without halves are split here, so that a half can be rewritten whole: the policy set that
// a test calls s is 2 * s + half in the tables, and port sets, pages and trie nodes come from the
// lower part of their tables for half 0, from the upper part for half 1.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <utility>

#include "abi/hash.h"
#include "abi/tables.h"
#include "net/address.h"
#include "support/kernel.h"

namespace sallyport::test {

// The mapped tables and their capacities.
struct Tables {
  sp_control* control = nullptr;
  sp_endpoint* endpoints = nullptr;
  sp_peer_bucket* peers = nullptr;
  sp_rule_bucket* rules = nullptr;
  sp_port_set* port_sets = nullptr;
  sp_port_page* port_pages = nullptr;
  sp_trie_node* prefixes = nullptr;
  sp_flow_bucket* flows = nullptr;
  EgressTables egress;
  KernelOptions capacity;
};

// Everything a test has stated.
struct Statement {
  struct PeerValue {
    uint32_t identity;
    uint32_t ifindex;
  };
  std::map<uint32_t, Endpoint> endpoints;
  std::map<net::Address, PeerValue> peers;
  // By family and length first: a longer prefix comes after those that contain it.
  std::map<std::pair<int, net::Address>, uint32_t> prefixes;
  std::map<std::pair<uint32_t, uint32_t>, Ports> rules;
  // By pin set; then as `prefixes`.
  std::map<uint32_t, std::map<std::pair<int, net::Address>, uint32_t>> pins;
};

sp_address ToAbi(const net::Address& address);
inline uint32_t TableSet(uint32_t set, uint32_t half) { return set ? 2 * set + half : 0; }

// Writes all of `stated` to `half` of the tables, and nothing of it to the other half.
void WriteHalf(const Tables& tables, const Statement& stated, uint32_t half);
// Writes all pin sets anew. They have no halves.
void WritePins(const Tables& tables, const Statement& stated);
// Frees the places of endpoints that are not stated any more: neither half may need them.
void FreeEndpoints(const Tables& tables, const Statement& stated);
// Fills every word of `half` with something that is wrong.
void SpoilHalf(const Tables& tables, uint32_t half);

}  // namespace sallyport::test

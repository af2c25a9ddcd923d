// SPDX-License-Identifier: Apache-2.0
// Reads the kernel tables as the kernel side does (bpf/lib/{endpoint,peer,policy}.h), from any
// thread, while they are being written.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/tables.h"
#include "net/flow.h"

namespace sallyport::test {

// Tables in plain memory, all zero as new maps are.
class HeapTables {
 public:
  struct Sizes {
    uint32_t endpoints = 64, peer_buckets = 64, rule_buckets = 128, port_sets = 256,
             port_pages = 1024, prefixes = 2048;
  };
  explicit HeapTables(const Sizes& sizes)
      : control_(1),
        endpoints_(sizes.endpoints),
        peers_(sizes.peer_buckets),
        rules_(sizes.rule_buckets),
        port_sets_(sizes.port_sets),
        port_pages_(sizes.port_pages),
        prefixes_(sizes.prefixes) {}
  HeapTables() : HeapTables(Sizes()) {}

  dataplane::Tables tables() {
    dataplane::Tables out;
    out.control = control_.data();
    out.endpoints = endpoints_;
    out.peers = peers_;
    out.rules = rules_;
    out.port_sets = port_sets_;
    out.port_pages = port_pages_;
    out.prefixes = prefixes_;
    out.hash_seed = 0x5eed;
    return out;
  }

 private:
  std::vector<sp_control> control_;
  std::vector<sp_endpoint> endpoints_;
  std::vector<sp_peer_bucket> peers_;
  std::vector<sp_rule_bucket> rules_;
  std::vector<sp_port_set> port_sets_;
  std::vector<sp_port_page> port_pages_;
  std::vector<sp_trie_node> prefixes_;
};

enum class Judgement { kClosed, kAllowed, kDenied, kBroken };

class TableTwin {
 public:
  explicit TableTwin(const dataplane::Tables& tables) : t_(tables) {}

  struct Peer {
    uint32_t identity = 0;
    bool is_node = false;
    bool is_other_node = false;
    bool is_service = false;
    uint32_t ifindex = 0;
  };

  uint32_t Generation() const { return Load(t_.control->generation); }

  Judgement Judge(uint32_t generation, uint32_t ifindex, sp_direction direction,
                  const net::Address& peer, net::Protocol protocol, uint16_t port) const {
    uint32_t half = generation & 1;
    const sp_endpoint* e = FindEndpoint(ifindex);
    if (!e || !(Load(e->flags[half]) & SP_ENDPOINT_OPEN)) return Judgement::kClosed;
    return Allows(Load(e->set[half][direction]), FindPeer(peer, half).identity, protocol, port);
  }

  // Do the interfaces that a first packet comes from and goes to (0: not here) let it pass? What is
  // left to the node's interfaces passes here. Of an address of the node nobody knows here whether
  // the node is behind it, so what comes from there is judged.
  bool Passes(uint32_t generation, uint32_t from, uint32_t to, const net::FlowTuple& flow) const {
    uint32_t half = generation & 1;
    auto end = [&](uint32_t ifindex, sp_direction direction, const net::Address& own,
                   const net::Address& peer) {
      const sp_endpoint* e = FindEndpoint(ifindex);
      if (!e || !(Load(e->flags[half]) & SP_ENDPOINT_OPEN) || !Has(*e, own)) return false;
      Peer other = FindPeer(peer, half);
      if (Has(*e, peer)) return true;
      bool deferred = other.is_service && Load(t_.control->deferring[half]) != 0;
      if (direction == SP_EGRESS && (other.is_node || deferred)) return true;
      return Allows(Load(e->set[half][direction]), other.identity, flow.protocol,
                    flow.destination_port) == Judgement::kAllowed;
    };
    return (from == 0 || end(from, SP_EGRESS, flow.source, flow.destination)) &&
           (to == 0 || end(to, SP_INGRESS, flow.destination, flow.source));
  }

  static bool Has(const sp_endpoint& e, const net::Address& address) {
    sp_address wanted = dataplane::ToAbi(address);
    const sp_address& own = e.address[address.IsV4() ? 0 : 1];
    return Load(own.halves[0]) == wanted.halves[0] && Load(own.halves[1]) == wanted.halves[1] &&
           (address.IsV4() || wanted.halves[0] != 0);
  }

  const sp_endpoint* FindEndpoint(uint32_t ifindex) const {
    auto mask = static_cast<uint32_t>(t_.endpoints.size() - 1);
    for (uint32_t i = 0; i < SP_ENDPOINT_PROBES; ++i) {
      const sp_endpoint& e = t_.endpoints[sp_endpoint_place(ifindex, i, mask)];
      if (Load(e.ifindex) == ifindex) return &e;
    }
    return nullptr;
  }

  Peer FindPeer(const net::Address& address, uint32_t half) const {
    sp_address key = dataplane::ToAbi(address);
    uint32_t hash = sp_hash_peer(t_.hash_seed, &key);
    auto mask = static_cast<uint32_t>(t_.peers.size() - 1);
    uint32_t word = 0;
    Peer out;
    for (uint32_t bucket : {sp_bucket(hash, mask), sp_other_bucket(hash, mask)}) {
      for (const sp_peer& p : t_.peers[bucket].peer) {
        if (Load(p.address.halves[0]) != key.halves[0] ||
            Load(p.address.halves[1]) != key.halves[1])
          continue;
        word = Load(p.identity[half]);
        if (word == 0) continue;
        if (word & SP_PEER_ENDPOINT) out.ifindex = Load(p.ifindex);
        break;
      }
      if (word != 0) break;
    }
    out.is_node = (word & SP_PEER_NODE) != 0;
    out.is_other_node = (word & SP_PEER_OTHER_NODE) != 0;
    out.is_service = (word & SP_PEER_SERVICE) != 0;
    out.identity = word & SP_PEER_IDENTITY;
    if (out.identity == SP_PEER_NONE) {
      out.identity = 0;
    } else if (out.identity == 0) {
      out.identity = PrefixIdentity(address, half);
    }
    return out;
  }

  uint32_t PrefixIdentity(const net::Address& address, uint32_t half) const {
    uint32_t slot = Load(t_.control->trie[half][address.IsV4() ? 0 : 1]);
    for (int nibble = address.IsV4() ? 24 : 0; slot & SP_TRIE_NODE; ++nibble) {
      if (nibble == 32 || (slot & ~SP_TRIE_NODE) >= t_.prefixes.size()) return kBad;
      uint8_t byte = address.bytes()[static_cast<size_t>(nibble / 2)];
      slot = Load(t_.prefixes[slot & ~SP_TRIE_NODE].slot[nibble % 2 ? byte & 15 : byte >> 4]);
    }
    return slot;
  }

  Judgement Allows(uint32_t set, uint32_t identity, net::Protocol protocol, uint16_t port) const {
    if (set == 0) return Judgement::kAllowed;
    if (set == SP_SET_FULL) return Judgement::kDenied;
    const sp_rule* rule = identity ? FindRule(set, identity) : nullptr;
    if (!rule) rule = FindRule(set, 0);
    if (!rule || identity == kBad) return Judgement::kBroken;
    uint32_t ports = Load(rule->port_set);
    if (ports == SP_PORTS_NONE) return Judgement::kDenied;
    if (ports == SP_PORTS_ALL) return Judgement::kAllowed;
    if (!net::HasPorts(protocol)) return Judgement::kDenied;
    if (ports >= t_.port_sets.size()) return Judgement::kBroken;
    int index = protocol == net::Protocol::kTcp   ? SP_PROTOCOL_TCP
                : protocol == net::Protocol::kUdp ? SP_PROTOCOL_UDP
                                                  : SP_PROTOCOL_SCTP;
    uint32_t page = Load(t_.port_sets[ports].page[index][port / SP_PAGE_PORTS]);
    if (page >= t_.port_pages.size()) return Judgement::kBroken;
    uint64_t word = Load(t_.port_pages[page].bits[port % SP_PAGE_PORTS / 64]);
    return word >> (port % 64) & 1 ? Judgement::kAllowed : Judgement::kDenied;
  }

 private:
  static constexpr uint32_t kBad = ~0u;

  template <typename Word>
  static Word Load(const Word& word) {
    return std::atomic_ref<Word>(const_cast<Word&>(word)).load(std::memory_order_acquire);
  }
  const sp_rule* FindRule(uint32_t set, uint32_t identity) const {
    uint32_t hash = sp_hash_rule(t_.hash_seed, set, identity);
    auto mask = static_cast<uint32_t>(t_.rules.size() - 1);
    for (uint32_t bucket : {sp_bucket(hash, mask), sp_other_bucket(hash, mask)})
      for (const sp_rule& rule : t_.rules[bucket].rule)
        if (Load(rule.key) == sp_rule_key(set, identity)) return &rule;
    return nullptr;
  }

  dataplane::Tables t_;
};

}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
#include "support/kernel_tables.h"

#include <cstring>
#include <vector>

#include "base/check.h"

namespace sallyport::test {
namespace {

constexpr uint32_t kSlots = 16;

bool Same(const sp_address& a, const sp_address& b) {
  return std::memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

// The part of a table of `entries` that belongs to a half; the first `reserved` to none.
struct Part {
  Part(uint32_t entries, uint32_t reserved, uint32_t half)
      : next(reserved + half * ((entries - reserved) / 2)), end(next + (entries - reserved) / 2) {}
  uint32_t Take() {
    CHECK(next < end) << "the test needs larger tables";
    return next++;
  }
  uint32_t next, end;
};

sp_endpoint& PlaceOf(const Tables& t, uint32_t ifindex) {
  for (uint32_t i = 0; i < SP_ENDPOINT_PROBES; i++) {
    sp_endpoint& e = t.endpoints[sp_endpoint_place(ifindex, i, t.capacity.endpoints - 1)];
    if (e.ifindex == ifindex) return e;
  }
  for (uint32_t i = 0; i < SP_ENDPOINT_PROBES; i++) {
    sp_endpoint& e = t.endpoints[sp_endpoint_place(ifindex, i, t.capacity.endpoints - 1)];
    if (e.ifindex == 0) return e;
  }
  CHECK(false) << "the test needs more endpoints";
  return t.endpoints[0];
}

void WriteEndpoints(const Tables& t, const Statement& stated, uint32_t half) {
  for (uint32_t i = 0; i < t.capacity.endpoints; i++) {
    t.endpoints[i].flags[half] = 0;
    t.endpoints[i].set[half][SP_EGRESS] = t.endpoints[i].set[half][SP_INGRESS] = 0;
  }
  for (const auto& [ifindex, said] : stated.endpoints) {
    sp_endpoint& e = PlaceOf(t, ifindex);
    e.ifindex = ifindex;
    e.address[0] = said.v4 ? ToAbi(Ip(said.v4)) : sp_address{};
    e.address[1] = said.v6 ? ToAbi(Ip(said.v6)) : sp_address{};
    e.set[half][SP_EGRESS] = TableSet(said.egress, half);
    e.set[half][SP_INGRESS] = TableSet(said.ingress, half);
    e.flags[half] = said.flags | said.pins << SP_ENDPOINT_PINS_SHIFT;
  }
}

sp_peer& PlaceOf(const Tables& t, const sp_address& address) {
  uint32_t hash = sp_hash_peer(t.capacity.hash_seed, &address), mask = t.capacity.peer_buckets - 1;
  uint32_t buckets[] = {sp_bucket(hash, mask), sp_other_bucket(hash, mask)};
  for (uint32_t bucket : buckets)
    for (sp_peer& p : t.peers[bucket].peer)
      if (Same(p.address, address)) return p;
  for (uint32_t bucket : buckets)
    for (sp_peer& p : t.peers[bucket].peer)
      if (p.identity[0] == 0 && p.identity[1] == 0) return p;
  CHECK(false) << "the test needs more peers";
  return t.peers[0].peer[0];
}

void WritePeers(const Tables& t, const Statement& stated, uint32_t half) {
  for (uint32_t i = 0; i < t.capacity.peer_buckets; i++)
    for (sp_peer& p : t.peers[i].peer) p.identity[half] = 0;
  for (const auto& [address, said] : stated.peers) {
    sp_address key = ToAbi(address);
    sp_peer& p = PlaceOf(t, key);
    p.address = key;
    p.ifindex = said.ifindex;
    p.identity[half] = said.identity | (said.ifindex ? SP_PEER_ENDPOINT : 0);
  }
}

// Interns pages and port sets while a half is written.
class PortWriter {
 public:
  PortWriter(const Tables& t, uint32_t half)
      : t_(t), sets_(t.capacity.port_sets, 2, half), pages_(t.capacity.port_pages, 2, half) {
    std::memset(&t.port_pages[SP_PAGE_NONE], 0, sizeof(sp_port_page));
    std::memset(&t.port_pages[SP_PAGE_ALL], 0xff, sizeof(sp_port_page));
  }

  uint32_t Set(const Ports& ports) {
    if (ports.all) return SP_PORTS_ALL;
    if (!ports.bits) return SP_PORTS_NONE;
    auto [known, is_new] = known_.try_emplace(ports.bits.get(), 0u);
    if (!is_new) return known->second;
    uint32_t number = known->second = sets_.Take();
    for (uint32_t protocol = 0; protocol < SP_PROTOCOLS; protocol++)
      for (uint32_t page = 0; page < SP_PAGES_PER_PROTOCOL; page++)
        t_.port_sets[number].page[protocol][page] = Page((*ports.bits)[protocol], page);
    return number;
  }

 private:
  uint32_t Page(const std::bitset<65536>& ports, uint32_t page) {
    sp_port_page wanted = {};
    for (uint32_t i = 0; i < SP_PAGE_PORTS; i++)
      if (ports[page * SP_PAGE_PORTS + i]) wanted.bits[i / 64] |= uint64_t{1} << (i % 64);
    for (uint32_t known : {SP_PAGE_NONE, SP_PAGE_ALL})
      if (std::memcmp(&wanted, &t_.port_pages[known], sizeof(wanted)) == 0) return known;
    uint32_t number = pages_.Take();
    t_.port_pages[number] = wanted;
    return number;
  }

  const Tables& t_;
  Part sets_, pages_;
  std::map<const void*, uint32_t> known_;
};

void WriteRule(const Tables& t, uint32_t set, uint32_t identity, uint32_t port_set) {
  uint32_t hash = sp_hash_rule(t.capacity.hash_seed, set, identity);
  uint32_t mask = t.capacity.rule_buckets - 1;
  for (uint32_t bucket : {sp_bucket(hash, mask), sp_other_bucket(hash, mask)})
    for (sp_rule& r : t.rules[bucket].rule)
      if (r.set == 0) {
        r = {};
        r.set = set;
        r.identity = identity;
        r.port_set = port_set;
        return;
      }
  CHECK(false) << "the test needs more rules";
}

void WriteRules(const Tables& t, const Statement& stated, uint32_t half) {
  for (uint32_t i = 0; i < t.capacity.rule_buckets; i++)
    for (sp_rule& r : t.rules[i].rule)
      if (r.set && r.set % 2 == half) r = {};
  std::map<std::pair<uint32_t, uint32_t>, Ports> all = stated.rules;
  for (const auto& [ifindex, e] : stated.endpoints)
    for (uint32_t set : {e.egress, e.ingress})
      if (set) all.try_emplace({set, 0}, Ports::None());
  PortWriter ports(t, half);
  for (const auto& [key, allowed] : all)
    WriteRule(t, TableSet(key.first, half), key.second, ports.Set(allowed));
}

// One trie of a half; prefixes come shorter ones first.
class TrieWriter {
 public:
  TrieWriter(sp_trie_node* table, Part& nodes) : table_(table), nodes_(nodes) {}

  void Insert(const net::Address& address, int length, int first_nibble, uint32_t identity) {
    Insert(root_, address, length, first_nibble, identity);
  }
  uint32_t root() const { return root_; }

 private:
  void Insert(uint32_t& slot, const net::Address& address, int length, int nibble,
              uint32_t identity) {
    if (length <= 0) {
      slot = identity;
      return;
    }
    if (!(slot & SP_TRIE_NODE)) {
      uint32_t node = nodes_.Take();
      for (uint32_t& below : table_[node].slot) below = slot;
      slot = SP_TRIE_NODE | node;
    }
    uint32_t* slots = table_[slot & ~SP_TRIE_NODE].slot;
    uint8_t byte = address.bytes()[static_cast<size_t>(nibble) / 2];
    uint32_t digit = nibble % 2 ? byte & 15u : byte >> 4u;
    uint32_t count = length >= 4 ? 1 : 1u << (4 - length);
    for (uint32_t i = digit; i < digit + count && i < kSlots; i++)
      Insert(slots[i], address, length - 4, nibble + 1, identity);
  }

  sp_trie_node* table_;
  Part& nodes_;
  uint32_t root_ = 0;
};

// Roots: IPv4, IPv6.
void WriteTries(sp_trie_node* table, Part& nodes,
                const std::map<std::pair<int, net::Address>, uint32_t>& prefixes,
                uint32_t (&roots)[2]) {
  TrieWriter v4(table, nodes), v6(table, nodes);
  for (const auto& [prefix, identity] : prefixes) {
    const auto& [mapped_length, address] = prefix;
    if (mapped_length >= 96 && address.IsV4())
      v4.Insert(address, mapped_length - 96, 24, identity);
    else
      v6.Insert(address, mapped_length, 0, identity);
  }
  roots[0] = v4.root();
  roots[1] = v6.root();
}

void WritePrefixes(const Tables& t, const Statement& stated, uint32_t half) {
  Part nodes(t.capacity.trie_nodes, 1, half);
  WriteTries(t.prefixes, nodes, stated.prefixes, t.control->trie[half]);
}

}  // namespace

sp_address ToAbi(const net::Address& address) {
  sp_address abi;
  std::memcpy(abi.bytes, address.bytes().data(), sizeof(abi.bytes));
  return abi;
}

void WriteHalf(const Tables& tables, const Statement& stated, uint32_t half) {
  WriteRules(tables, stated, half);
  WritePrefixes(tables, stated, half);
  WritePeers(tables, stated, half);
  WriteEndpoints(tables, stated, half);
}

void WritePins(const Tables& tables, const Statement& stated) {
  Part nodes(SP_PIN_NODES, 1, 0);
  for (const auto& [set, pins] : stated.pins)
    WriteTries(tables.egress.pin_prefixes, nodes, pins, tables.egress.pin_sets[set].trie);
}

void FreeEndpoints(const Tables& tables, const Statement& stated) {
  for (uint32_t i = 0; i < tables.capacity.endpoints; i++)
    if (!stated.endpoints.contains(tables.endpoints[i].ifindex)) tables.endpoints[i] = {};
}

void SpoilHalf(const Tables& t, uint32_t half) {
  for (uint32_t i = 0; i < t.capacity.endpoints; i++) {
    t.endpoints[i].flags[half] = ~0u;
    t.endpoints[i].set[half][SP_EGRESS] = t.endpoints[i].set[half][SP_INGRESS] = ~0u;
  }
  for (uint32_t i = 0; i < t.capacity.peer_buckets; i++)
    for (sp_peer& p : t.peers[i].peer) p.identity[half] = SP_PEER_NODE | 0x1234567;
  for (uint32_t i = 0; i < t.capacity.rule_buckets; i++)
    for (sp_rule& r : t.rules[i].rule)
      if (r.set && r.set % 2 == half) r.port_set = ~0u;
  Part nodes(t.capacity.trie_nodes, 1, half), sets(t.capacity.port_sets, 2, half),
      pages(t.capacity.port_pages, 2, half);
  for (uint32_t i = nodes.next; i < nodes.end; i++)
    std::memset(&t.prefixes[i], 0xff, sizeof(t.prefixes[i]));
  for (uint32_t i = sets.next; i < sets.end; i++)
    std::memset(&t.port_sets[i], 0xff, sizeof(t.port_sets[i]));
  for (uint32_t i = pages.next; i < pages.end; i++)
    std::memset(&t.port_pages[i], 0xff, sizeof(t.port_pages[i]));
  t.control->trie[half][0] = t.control->trie[half][1] = ~0u;
}

}  // namespace sallyport::test

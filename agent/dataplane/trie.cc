// SPDX-License-Identifier: Apache-2.0
#include "dataplane/trie.h"

#include <algorithm>

namespace sallyport::dataplane {
namespace {

constexpr int kSlots = 16;
constexpr int kDepthV4 = 24;  // the 24 half-bytes of ::ffff:0:0/96 are not walked
constexpr int kDepthMost = 32;

bool IsNode(uint32_t slot) { return (slot & SP_TRIE_NODE) != 0; }
uint32_t NodeOf(uint32_t slot) { return slot & ~SP_TRIE_NODE; }

uint32_t Nibble(const net::Address& address, int depth) {
  uint8_t byte = address.bytes()[static_cast<size_t>(depth / 2)];
  return depth % 2 == 0 ? byte >> 4 : byte & 15;
}

net::Address WithNibble(const net::Address& address, int depth, uint32_t value) {
  net::Address::Bytes bytes = address.bytes();
  uint8_t& byte = bytes[static_cast<size_t>(depth / 2)];
  byte = static_cast<uint8_t>(depth % 2 == 0 ? (byte & 0x0f) | value << 4 : (byte & 0xf0) | value);
  return net::Address(bytes);
}

bool SameStart(const net::Address& a, const net::Address& b, int nibbles) {
  if (std::memcmp(a.bytes().data(), b.bytes().data(), static_cast<size_t>(nibbles / 2)) != 0)
    return false;
  return nibbles % 2 == 0 || Nibble(a, nibbles - 1) == Nibble(b, nibbles - 1);
}

}  // namespace

// Makes the trie of one family. Depth counts half-bytes of the 16-byte address.
class PrefixTrie::Builder {
 public:
  using Iterator = Prefixes::const_iterator;
  using Dirty = std::vector<net::Cidr>;

  Builder(PrefixTrie& trie, const Prefixes& prefixes, bool v4)
      : trie_(trie),
        prefixes_(prefixes),
        v4_(v4),
        base_(v4 ? net::Address::V4(0) : net::Address()),
        depth_(v4 ? kDepthV4 : 0) {}

  uint32_t BuildAll() {
    Iterator it = prefixes_.lower_bound(Prefix(base_, depth_ * 4));
    SkipOtherFamily(it);
    if (it != prefixes_.end() && it->first == Prefix(base_, depth_ * 4)) Advance(it);
    return Build(it, base_, depth_, IdentityOfRoot());
  }

  // `dirty`: sorted, of this family.
  uint32_t UpdateAll(uint32_t root, const Dirty& dirty) {
    if (dirty.empty()) return root;
    if (dirty.front().mapped_length() == depth_ * 4) return BuildAll();
    return Update(root, base_, depth_, IdentityOfRoot(), dirty.begin(), dirty.end());
  }

 private:
  // What the programs read beside an identity leaves it these bits.
  static uint32_t Slot(policy::IdentityId identity) {
    CHECK(identity < SP_PEER_NONE) << "identity numbers are used up";
    return identity;
  }
  // No IPv6 prefix lies in ::ffff:0:0/96: what is written there is IPv4.
  bool IsForeign(const net::Address& address, int mapped_length) const {
    return !v4_ && mapped_length >= 96 && address.IsV4();
  }
  // Requires !IsForeign().
  net::Cidr Prefix(const net::Address& address, int mapped_length) const {
    if (v4_) return net::Cidr(address, mapped_length - 96);
    net::Address::Bytes bytes = address.bytes();
    if (address.IsV4()) bytes[11] &= 0xfe;  // a bit that is cut off anyway
    return net::Cidr(net::Address(bytes), mapped_length);
  }
  const policy::IdentityId* Find(const net::Address& address, int mapped_length) const {
    if (IsForeign(address, mapped_length)) return nullptr;
    auto it = prefixes_.find(Prefix(address, mapped_length));
    return it == prefixes_.end() ? nullptr : &it->second;
  }
  uint32_t IdentityOfRoot() const {
    const policy::IdentityId* identity = Find(base_, depth_ * 4);
    return identity ? Slot(*identity) : 0;
  }
  void SkipOtherFamily(Iterator& it) const {
    if (!v4_ && it != prefixes_.end() && it->first.IsV4())
      it = prefixes_.upper_bound(net::Cidr(net::Address::V4(0xffffffff), 32));
  }
  void Advance(Iterator& it) const {
    ++it;
    SkipOtherFamily(it);
  }

  // Consumes the prefixes below `base` at `depth`; all that are left there are longer than that.
  // In the order of the map a prefix comes before those inside it, so later ones override.
  uint32_t Build(Iterator& it, const net::Address& base, int depth, uint32_t inherited) {
    ++trie_.above_;
    sp_trie_node node;
    std::fill_n(node.slot, kSlots, inherited);
    while (it != prefixes_.end() && it->first.IsV4() == v4_ &&
           SameStart(it->first.address(), base, depth)) {
      uint32_t child = Nibble(it->first.address(), depth);
      int beyond = it->first.mapped_length() - depth * 4;
      if (beyond <= 4) {
        std::fill_n(node.slot + child, size_t{1} << (4 - beyond), Slot(it->second));
        Advance(it);
      } else {
        node.slot[child] = Build(it, WithNibble(base, depth, child), depth + 1, node.slot[child]);
      }
    }
    --trie_.above_;
    return trie_.Intern(node, depth - depth_, kDepthMost - depth_);
  }

  uint32_t BuildChild(const net::Address& child, int depth, uint32_t inherited) {
    if (depth == kDepthMost || IsForeign(child, depth * 4)) return inherited;
    Iterator it = prefixes_.upper_bound(Prefix(child, depth * 4));
    SkipOtherFamily(it);
    return Build(it, child, depth, inherited);
  }

  // What the child inherits: from the longest prefix that ends on the way to it.
  uint32_t Inherited(const net::Address& child, int depth, uint32_t from_above) const {
    for (int bits = depth * 4 + 4; bits > depth * 4; --bits)
      if (const policy::IdentityId* identity = Find(child, bits)) return Slot(*identity);
    return from_above;
  }

  uint32_t Update(uint32_t old, const net::Address& base, int depth, uint32_t inherited,
                  Dirty::const_iterator dirty, Dirty::const_iterator end) {
    ++trie_.above_;
    sp_trie_node node;
    if (IsNode(old)) {
      node = trie_.nodes_[NodeOf(old)];
    } else {
      std::fill_n(node.slot, kSlots, old);
    }
    bool whole[kSlots] = {};  // the children that a dirty prefix covers
    for (auto it = dirty; it != end; ++it) {
      int beyond = it->mapped_length() - depth * 4;
      if (beyond > 4) continue;
      std::fill_n(whole + Nibble(it->address(), depth), size_t{1} << (4 - beyond), true);
    }
    for (uint32_t c = 0; c < kSlots; ++c) {
      net::Address child = WithNibble(base, depth, c);
      auto inside = [&](const net::Cidr& cidr) {
        return cidr.mapped_length() > depth * 4 + 4 && Nibble(cidr.address(), depth) == c;
      };
      if (whole[c]) {
        node.slot[c] = BuildChild(child, depth + 1, Inherited(child, depth, inherited));
        continue;
      }
      auto first = std::find_if(dirty, end, inside);
      if (first == end) continue;
      auto last = std::find_if_not(first, end, inside);
      node.slot[c] =
          Update(node.slot[c], child, depth + 1, Inherited(child, depth, inherited), first, last);
    }
    --trie_.above_;
    return trie_.Intern(node, depth - depth_, kDepthMost - depth_);
  }

  PrefixTrie& trie_;
  const Prefixes& prefixes_;
  const bool v4_;
  const net::Address base_;
  const int depth_;
};

PrefixTrie::PrefixTrie(Tables& tables, const Surroundings& around, IdentityUses& uses)
    : nodes_(tables.prefixes),
      control_(tables.control),
      around_(around),
      uses_(uses),
      index_(nodes_.size()),
      refs_(nodes_.size(), 0),
      present_(nodes_.size(), false) {}

void PrefixTrie::Adopt(uint32_t half) {
  used_ = 1;  // node 0
  for (int family = 0; family < 2; ++family) {
    roots_[family] = control_->trie[half][family];
    AdoptNode(roots_[family], 0);
    RefRoot(roots_[family]);
    old_roots_[family] = roots_[family];
    around_.pen.Update(control_->trie[half ^ 1][family], roots_[family]);
  }
  for (auto i = static_cast<uint32_t>(nodes_.size() - 1); i > 0; --i)
    if (!present_[i]) free_.push_back(i);
}

void PrefixTrie::AdoptNode(uint32_t slot, int depth) {
  uint32_t i = NodeOf(slot);
  if (!IsNode(slot)) return;
  CHECK(i < nodes_.size() && depth < kDepthMost) << "pinned prefixes refer to node " << i;
  if (present_[i]) return;
  present_[i] = true;
  index_.Insert(HashContent(nodes_[i]), i);
  ++used_;
  for (uint32_t child : nodes_[i].slot) AdoptNode(child, depth + 1);
}

// A node is refused while those above it may still need a place, and the deeper it is the sooner: a
// change far down that finds no place must not take everything above along.
uint32_t PrefixTrie::Intern(const sp_trie_node& node, int depth, int steps) {
  bool uniform = std::all_of(node.slot + 1, node.slot + kSlots,
                             [&](uint32_t slot) { return slot == node.slot[0]; });
  if (uniform && !IsNode(node.slot[0])) return node.slot[0];
  uint64_t hash = HashContent(node);
  uint32_t found = index_.Find(
      hash, [&](uint32_t i) { return std::equal(node.slot, node.slot + kSlots, nodes_[i].slot); });
  if (found != ContentIndex::kNone) return SP_TRIE_NODE | found;
  size_t kept = nodes_.size() / 16 * static_cast<size_t>(depth) / static_cast<size_t>(steps);
  if (free_.size() <= above_ + kept) {
    ++left_out_;
    return 0;
  }
  uint32_t i = free_.back();
  free_.pop_back();
  for (int s = 0; s < kSlots; ++s) around_.pen.Update(nodes_[i].slot[s], node.slot[s]);
  index_.Insert(hash, i);
  present_[i] = true;
  limbo_.push_back(i);
  ++used_;
  return SP_TRIE_NODE | i;
}

void PrefixTrie::CountIdentities(const sp_trie_node& node, int64_t by) {
  for (int s = 0; s < kSlots; ++s) {
    bool again = s > 0 && node.slot[s] == node.slot[s - 1];
    if (!again && !IsNode(node.slot[s])) uses_.Add(node.slot[s], by);
  }
}

void PrefixTrie::Ref(uint32_t slot) {
  if (!IsNode(slot)) return;
  uint32_t i = NodeOf(slot);
  if (refs_[i]++ > 0) return;
  CountIdentities(nodes_[i], 1);
  for (uint32_t child : nodes_[i].slot) Ref(child);
}

void PrefixTrie::Unref(uint32_t slot) {
  if (!IsNode(slot)) return;
  uint32_t i = NodeOf(slot);
  if (--refs_[i] > 0) return;
  limbo_.push_back(i);
  CountIdentities(nodes_[i], -1);
  for (uint32_t child : nodes_[i].slot) Unref(child);
}

void PrefixTrie::RefRoot(uint32_t slot) {
  if (!IsNode(slot)) uses_.Add(slot, 1);
  Ref(slot);
}

void PrefixTrie::UnrefRoot(uint32_t slot) {
  if (!IsNode(slot)) uses_.Add(slot, -1);
  Unref(slot);
}

void PrefixTrie::Prepare(const Prefixes& prefixes, const std::set<net::Cidr>* dirty,
                         uint32_t next) {
  next_half_ = next;
  left_out_ = 0;
  for (int family = 0; family < 2; ++family) {
    Builder builder(*this, prefixes, family == 0);
    Builder::Dirty own;
    if (dirty)
      std::copy_if(dirty->begin(), dirty->end(), std::back_inserter(own),
                   [&](const net::Cidr& cidr) { return cidr.IsV4() == (family == 0); });
    uint32_t root = dirty ? builder.UpdateAll(roots_[family], own) : builder.BuildAll();
    if (root == roots_[family]) continue;
    RefRoot(root);
    UnrefRoot(roots_[family]);
    roots_[family] = root;
    around_.pen.Store(control_->trie[next][family], root);
  }
}

void PrefixTrie::Undo() {
  for (int family = 0; family < 2; ++family) {
    if (roots_[family] == old_roots_[family]) continue;
    RefRoot(old_roots_[family]);
    UnrefRoot(roots_[family]);
    roots_[family] = old_roots_[family];
    around_.pen.Store(control_->trie[next_half_][family], roots_[family]);
  }
  FreeLimbo();
}

void PrefixTrie::Settle() {
  for (int family = 0; family < 2; ++family) {
    around_.pen.Update(control_->trie[next_half_ ^ 1][family], roots_[family]);
    old_roots_[family] = roots_[family];
  }
  FreeLimbo();
}

void PrefixTrie::FreeLimbo() {
  for (uint32_t i : limbo_) {
    if (refs_[i] > 0 || !present_[i]) continue;
    index_.Erase(HashContent(nodes_[i]), i);
    present_[i] = false;
    free_.push_back(i);
    --used_;
  }
  limbo_.clear();
}

}  // namespace sallyport::dataplane

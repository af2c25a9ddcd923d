// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peer_table.h"

#include <algorithm>
#include <iterator>

namespace sallyport::dataplane {
namespace {

constexpr auto kNowhere = BucketTable<PeerTraits>::kNowhere;
// What the programs ask of an address besides its identity.
constexpr uint32_t kMust = SP_PEER_NODE | SP_PEER_OTHER_NODE | SP_PEER_SERVICE | SP_PEER_ENDPOINT;

void SortUnique(std::vector<net::Address>& addresses) {
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
}

}  // namespace

PeerTable::PeerTable(Tables& tables, const Surroundings& around, IdentityUses& uses)
    : table_(tables.peers, tables.hash_seed, around), around_(around), uses_(uses) {}

void PeerTable::Count(uint32_t word, int64_t by) {
  uint32_t identity = word & SP_PEER_IDENTITY;
  if (identity != SP_PEER_NONE) uses_.Add(identity, by);
}

void PeerTable::Adopt(uint32_t half) {
  table_.Adopt([half](const sp_peer& peer) { return peer.identity[half] != 0; });
  std::vector<sp_peer> peers;
  table_.ForEach([&](const sp_peer& peer) { peers.push_back(peer); });
  for (const sp_peer& peer : peers) {
    sp_peer& place = table_.at(table_.Find(peer));
    around_.pen.Update(place.identity[half ^ 1], place.identity[half]);
    Count(place.identity[half], 1);
    if (place.identity[half] & SP_PEER_NODE) node_.insert(FromAbi(place.address));
    if (place.identity[half] & SP_PEER_ENDPOINT) local_[FromAbi(place.address)] = place.ifindex;
  }
}

std::vector<net::Address> PeerTable::Candidates(const policy::Image& image,
                                                const policy::Changes* changes,
                                                const Local& local) const {
  std::vector<net::Address> out;
  if (changes) {
    out.assign(changes->peers.begin(), changes->peers.end());
  } else {
    table_.ForEach([&](const sp_peer& peer) { out.push_back(FromAbi(peer.address)); });
    for (const auto& [address, identity] : image.peers) out.push_back(address);
    out.insert(out.end(), image.other_nodes.begin(), image.other_nodes.end());
  }
  if (!changes || changes->node_addresses)
    std::set_symmetric_difference(node_.begin(), node_.end(), image.node_addresses.begin(),
                                  image.node_addresses.end(), std::back_inserter(out));
  AddServices(image, changes, out);
  std::vector<Local::value_type> moved;
  std::set_symmetric_difference(local_.begin(), local_.end(), local.begin(), local.end(),
                                std::back_inserter(moved));
  for (const auto& [address, ifindex] : moved) out.push_back(address);
  SortUnique(out);
  return out;
}

void PeerTable::AddServices(const policy::Image& image, const policy::Changes* changes,
                            std::vector<net::Address>& out) const {
  const auto& all = image.service_addresses;
  if (!changes || defer_ != deferred_) out.insert(out.end(), all.begin(), all.end());
  // Those that have gone, too.
  if (changes)
    out.insert(out.end(), changes->service_addresses.begin(), changes->service_addresses.end());
}

PeerTable::Edit PeerTable::Desired(const policy::Image& image, const Local& local,
                                   const net::Address& address) const {
  Edit edit{};
  edit.key.address = ToAbi(address);
  if (auto it = image.peers.find(address); it != image.peers.end()) {
    CHECK(it->second < SP_PEER_NONE) << "identity numbers are used up";
    edit.value = it->second == policy::kNoIdentity ? SP_PEER_NONE : it->second;
  }
  if (image.node_addresses.contains(address)) edit.value |= SP_PEER_NODE;
  if (image.other_nodes.contains(address)) edit.value |= SP_PEER_OTHER_NODE;
  if (defer_ && image.service_addresses.contains(address)) edit.value |= SP_PEER_SERVICE;
  if (auto it = local.find(address); it != local.end()) {
    edit.value |= SP_PEER_ENDPOINT;
    edit.ifindex = it->second;
  }
  return edit;
}

Status PeerTable::Prepare(const policy::Image& image, const policy::Changes* changes,
                          const Local& local, bool defer, uint32_t next) {
  next_ = next;
  defer_ = defer;
  left_out_.clear();
  misleading_ = false;
  for (const net::Address& address : Candidates(image, changes, local)) {
    Edit edit = Desired(image, local, address);
    uint32_t place = table_.Find(edit.key);
    uint32_t value = place == kNowhere ? 0 : table_.at(place).identity[next ^ 1];
    edit.old_ifindex = place == kNowhere ? 0 : table_.at(place).ifindex;
    if (edit.value == value && edit.ifindex == edit.old_ifindex) continue;
    edits_.push_back(edit);
  }
  if (Status status = Place(image); !status.ok()) return status;
  for (Edit& edit : edits_) {
    sp_peer& place = table_.at(table_.Find(edit.key));
    edit.written = true;
    // A hint that someone may follow now is changed when nobody does any more.
    if (edit.old_ifindex == 0) around_.pen.Update(place.ifindex, edit.ifindex);
    around_.pen.Update(place.identity[next], edit.value);
    Count(place.identity[next ^ 1], -1);
    Count(edit.value, 1);
  }
  return Ok();
}

// A place for each edit; those without one are left out.
Status PeerTable::Place(const policy::Image& image) {
  using Wishes = std::vector<BucketTable<PeerTraits>::Wish>;
  Wishes needed, pods;
  for (const Edit& edit : edits_) {
    if (table_.Find(edit.key) != kNowhere) continue;
    bool must = edit.value & kMust || image.shared_nodes.contains(FromAbi(edit.key.address));
    (must ? needed : pods).push_back({edit.key});
  }
  auto without = table_.Place(needed, table_.capacity());
  if (!without) return std::move(without).error();
  auto pods_without = table_.Place(pods, table_.most());
  if (!pods_without) return std::move(pods_without).error();
  for (const sp_peer& peer : *pods_without) left_out_.insert(FromAbi(peer.address));
  for (const sp_peer& peer : *without) left_out_.insert(FromAbi(peer.address));
  for (const Edit& edit : edits_) {
    net::Address address = FromAbi(edit.key.address);
    if (!left_out_.contains(address)) continue;
    misleading_ |= (edit.value & kMust & ~SP_PEER_ENDPOINT) || image.shared_nodes.contains(address);
  }
  std::erase_if(edits_, [this](const Edit& edit) { return table_.Find(edit.key) == kNowhere; });
  if (!without->empty()) MakeRoom(image, without->size());
  return Ok();
}

// Takes the places of pods for as many as must have one: free once this change is in force.
void PeerTable::MakeRoom(const policy::Image& image, size_t count) {
  std::set<net::Address> edited;
  for (const Edit& edit : edits_) edited.insert(FromAbi(edit.key.address));
  table_.ForEach([&](const sp_peer& peer) {
    net::Address address = FromAbi(peer.address);
    bool must = peer.identity[next_ ^ 1] & kMust || image.shared_nodes.contains(address);
    if (count == 0 || must || edited.contains(address)) return;
    Edit edit{};
    edit.key.address = peer.address;
    edit.old_ifindex = peer.ifindex;
    edits_.push_back(edit);
    left_out_.insert(address);
    --count;
  });
}

void PeerTable::Undo() {
  for (const Edit& edit : edits_) {
    if (!edit.written) continue;
    sp_peer& place = table_.at(table_.Find(edit.key));
    around_.pen.Update(place.identity[next_], place.identity[next_ ^ 1]);
    around_.pen.Update(place.ifindex, edit.old_ifindex);
    Count(edit.value, -1);
    Count(place.identity[next_ ^ 1], 1);
  }
  edits_.clear();
  table_.Undo();
}

void PeerTable::Commit(const policy::Image& image, const Local& local) {
  table_.Commit();
  node_ = image.node_addresses;
  deferred_ = defer_;
  local_ = local;
  for (const net::Address& address : left_out_) {
    node_.erase(address);
    local_.erase(address);
  }
}

void PeerTable::Settle() {
  table_.AfterGrace();
  for (const Edit& edit : edits_) {
    uint32_t at = table_.Find(edit.key);
    sp_peer& place = table_.at(at);
    around_.pen.Update(place.ifindex, edit.ifindex);
    around_.pen.Update(place.identity[next_ ^ 1], edit.value);
    if (edit.value == 0) table_.Remove(at);
  }
  edits_.clear();
}

}  // namespace sallyport::dataplane

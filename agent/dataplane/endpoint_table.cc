// SPDX-License-Identifier: Apache-2.0
#include "dataplane/endpoint_table.h"

#include <algorithm>
#include <set>

namespace sallyport::dataplane {
namespace {

// The half without which an address is nobody's: all that differs between IPv4 addresses, and the
// network of an IPv6 one.
constexpr int kTelling[] = {1, 0};

}  // namespace

EndpointTable::Addresses EndpointTable::Of(const Binding& binding) {
  Addresses out;
  for (const net::Address& address : binding.addresses)
    out.of[address.IsV4() ? 0 : 1] = ToAbi(address);
  return out;
}

EndpointTable::Addresses EndpointTable::Of(const sp_endpoint& endpoint) {
  return Addresses{{endpoint.address[0], endpoint.address[1]}};
}

EndpointTable::EndpointTable(Tables& tables, const Surroundings& around)
    : endpoints_(tables.endpoints), around_(around), waiting_(endpoints_.size(), false) {}

void EndpointTable::Adopt(uint32_t half) {
  for (uint32_t place = 0; place < endpoints_.size(); ++place) {
    sp_endpoint& e = endpoints_[place];
    if (e.ifindex != 0 && (e.flags[half] & SP_ENDPOINT_OPEN) && !places_.contains(e.ifindex)) {
      Write(place, State{e.flags[half], {e.set[half][0], e.set[half][1]}}, half ^ 1);
      places_[e.ifindex] = place;
    } else {
      Write(place, State{}, half ^ 1);
      Write(place, State{}, half);
      around_.pen.Update(e.ifindex, 0);
    }
  }
}

std::vector<uint32_t> EndpointTable::SetsInForce(uint32_t half) const {
  std::vector<uint32_t> out;
  for (const auto& [ifindex, place] : places_)
    for (uint32_t set : endpoints_[place].set[half]) out.push_back(set);
  return out;
}

uint32_t EndpointTable::PlaceFor(uint32_t ifindex) const {
  if (auto it = places_.find(ifindex); it != places_.end()) return it->second;
  auto capacity = static_cast<uint32_t>(endpoints_.size());
  for (uint32_t i = 0; i < SP_ENDPOINT_PROBES; ++i) {
    uint32_t place = sp_endpoint_place(ifindex, i, capacity - 1);
    if (endpoints_[place].ifindex == 0 && !waiting_[place]) return place;
  }
  return capacity;
}

void EndpointTable::Write(uint32_t place, const State& state, uint32_t half) {
  sp_endpoint& e = endpoints_[place];
  around_.pen.Update(e.set[half][SP_EGRESS], state.set[SP_EGRESS]);
  around_.pen.Update(e.set[half][SP_INGRESS], state.set[SP_INGRESS]);
  around_.pen.Update(e.flags[half], state.flags);
}

// A new one has the binding's addresses, and is closed in both halves.
Result<bool> EndpointTable::GivePlace(const Binding& binding) {
  if (places_.contains(binding.ifindex)) return true;
  uint32_t place = PlaceFor(binding.ifindex);
  if (place == endpoints_.size() && !left_.empty()) {
    if (Status status = around_.grace_period(); !status.ok()) return std::move(status).error();
    AfterGrace();
    place = PlaceFor(binding.ifindex);
  }
  if (place == endpoints_.size() || places_.size() >= capacity()) return false;
  Addresses addresses = Of(binding);
  sp_endpoint& e = endpoints_[place];
  around_.reset_counters(place);
  for (int family = 0; family < 2; ++family)
    for (int i = 0; i < 2; ++i)
      around_.pen.Update(e.address[family].halves[i], addresses.of[family].halves[i]);
  around_.pen.Store(e.ifindex, binding.ifindex);
  places_[binding.ifindex] = place;
  created_.push_back(place);
  return true;
}

Result<Bindings> EndpointTable::Admit(const policy::Image& image, const Bindings& bindings) {
  created_.clear();
  Bindings out;
  std::set<uint32_t> interfaces;
  for (const auto& [name, binding] : bindings) {
    if (!image.endpoints.contains(name)) continue;
    if (binding.ifindex == 0 || !interfaces.insert(binding.ifindex).second)
      return Error{"pod " + name.ToString() + " has interface " + std::to_string(binding.ifindex) +
                   ", which is another pod's"};
    Result<bool> has_place = GivePlace(binding);
    if (!has_place) return std::move(has_place).error();
    if (*has_place) out.emplace(name, binding);
  }
  return out;
}

void EndpointTable::Prepare(const policy::Image& image, const Bindings& admitted,
                            const SetNumber& set_number, const PinsNumber& pins_number,
                            uint32_t next) {
  next_ = next;
  std::set<uint32_t> open;
  for (const auto& [name, binding] : admitted) {
    const policy::Endpoint& endpoint = image.endpoints.at(name);
    open.insert(binding.ifindex);
    Edit edit{places_.at(binding.ifindex), State{}};
    edit.before = Of(endpoints_[edit.place]);
    edit.after = Of(binding);
    edit.state.flags = SP_ENDPOINT_OPEN | (binding.direct ? SP_ENDPOINT_DIRECT : 0) |
                       (endpoint.keep_egress ? SP_ENDPOINT_KEEP << SP_EGRESS : 0) |
                       (endpoint.keep_ingress ? SP_ENDPOINT_KEEP << SP_INGRESS : 0) |
                       pins_number(binding) << SP_ENDPOINT_PINS_SHIFT;
    edit.state.set[SP_EGRESS] = set_number(endpoint.egress);
    edit.state.set[SP_INGRESS] = set_number(endpoint.ingress);
    Edited(edit, next);
  }
  for (uint32_t place : created_)
    if (!open.contains(endpoints_[place].ifindex)) Free(place, /*read=*/false);
  std::erase_if(created_, [this](uint32_t place) { return endpoints_[place].ifindex == 0; });
  for (const auto& [ifindex, place] : places_) {
    if (open.contains(ifindex)) continue;
    Edit edit{place, State{}};
    edit.before = edit.after = Of(endpoints_[place]);
    Edited(edit, next);
  }
  HideLostAddresses();  // last: nothing can fail between it and the flip but the flip
}

void EndpointTable::Edited(const Edit& edit, uint32_t next) {
  const sp_endpoint& e = endpoints_[edit.place];
  uint32_t now = next ^ 1;
  if (edit.before == edit.after && e.flags[now] == edit.state.flags &&
      e.set[now][SP_EGRESS] == edit.state.set[SP_EGRESS] &&
      e.set[now][SP_INGRESS] == edit.state.set[SP_INGRESS])
    return;
  edits_.push_back(edit);
  Write(edit.place, edit.state, next);
}

void EndpointTable::HideLostAddresses() {
  for (const Edit& edit : edits_)
    for (int family = 0; family < 2; ++family)
      if (!edit.before.IsSame(family, edit.after))
        around_.pen.Update(endpoints_[edit.place].address[family].halves[kTelling[family]], 0);
}

bool EndpointTable::readdresses() const {
  return std::any_of(edits_.begin(), edits_.end(),
                     [](const Edit& edit) { return !(edit.before == edit.after); });
}

void EndpointTable::Undo() {
  for (const Edit& edit : edits_) {
    const sp_endpoint& e = endpoints_[edit.place];
    uint32_t now = next_ ^ 1;
    Write(edit.place, State{e.flags[now], {e.set[now][0], e.set[now][1]}}, next_);
    WriteTelling(edit.place, edit.before);
  }
  for (uint32_t place : created_) Free(place, /*read=*/false);
  created_.clear();
  edits_.clear();
}

void EndpointTable::Free(uint32_t place, bool read) {
  sp_endpoint& e = endpoints_[place];
  places_.erase(e.ifindex);
  around_.pen.Store(e.ifindex, 0);
  if (!read) return;
  waiting_[place] = true;
  left_.push_back(place);
}

void EndpointTable::AfterGrace() {
  for (uint32_t place : left_) waiting_[place] = false;
  left_.clear();
}

void EndpointTable::WriteTelling(uint32_t place, const Addresses& addresses) {
  for (int family = 0; family < 2; ++family) {
    int half = kTelling[family];
    around_.pen.Update(endpoints_[place].address[family].halves[half],
                       addresses.of[family].halves[half]);
  }
}

bool EndpointTable::Readdress() {
  bool written = false;
  for (const Edit& edit : edits_)
    for (int family = 0; family < 2; ++family) {
      int rest = 1 - kTelling[family];
      __u64& word = endpoints_[edit.place].address[family].halves[rest];
      written |= word != edit.after.of[family].halves[rest];
      around_.pen.Update(word, edit.after.of[family].halves[rest]);
    }
  needs_grace_ |= written;
  return needs_grace_;
}

void EndpointTable::Settle() {
  AfterGrace();
  needs_grace_ = false;
  for (const Edit& edit : edits_) {
    WriteTelling(edit.place, edit.after);
    Write(edit.place, edit.state, next_ ^ 1);
    if (edit.state.flags == 0) Free(edit.place, /*read=*/true);
  }
  edits_.clear();
}

}  // namespace sallyport::dataplane

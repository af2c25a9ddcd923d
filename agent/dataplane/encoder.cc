// SPDX-License-Identifier: Apache-2.0
#include "dataplane/encoder.h"

#include <algorithm>
#include <utility>

namespace sallyport::dataplane {
namespace {

// Changes that follow one that was not complete, in one Apply().
constexpr int kRounds = 3;

PeerTable::Local LocalAddresses(const Bindings& bindings) {
  PeerTable::Local out;
  for (const auto& [name, binding] : bindings) {
    for (const net::Address& address : binding.addresses) out.emplace(address, binding.ifindex);
  }
  return out;
}

}  // namespace

Encoder::Encoder(const Tables& tables, Surroundings around)
    : tables_(tables),
      around_(std::move(around)),
      peers_(tables_, around_, uses_),
      prefixes_(tables_, around_, uses_),
      sets_(tables_, around_, uses_),
      pins_(tables_, around_),
      endpoints_(tables_, around_) {}

Status Encoder::Adopt() {
  // A predecessor may have ended right after a flip.
  if (Status status = around_.grace_period(); !status.ok()) return status;
  peers_.Adopt(half());
  prefixes_.Adopt(half());
  endpoints_.Adopt(half());
  pins_.Adopt(half());
  sets_.Adopt(endpoints_.SetsInForce(half()));
  WriteDeferring(half() ^ 1, IsDeferring());
  uses_.Commit();
  return around_.grace_period();
}

Status Encoder::Apply(const policy::Image& image, const policy::Changes* changes,
                      const Bindings& bindings) {
  for (int round = 0; round < kRounds; ++round) {
    if (Status status = Settle(); !status.ok()) return status;
    Result<bool> changed = Step(image, synced_ ? changes : nullptr, bindings);
    if (!changed) return std::move(changed).error();
    if (synced_ || !*changed) break;  // nothing is left out, or nothing was freed
  }
  return endpoints_.readdresses() ? Settle() : Ok();
}

// Whether it changed anything.
Result<bool> Encoder::Step(const policy::Image& image, const policy::Changes* changes,
                           const Bindings& bindings) {
  Admitted admitted;
  Status status = Prepare(image, changes, bindings, admitted);
  bool is_change = status.ok() && changed();
  if (is_change) status = Flip();
  if (!status.ok()) {
    Undo();
    return std::move(status).error();
  }
  Commit(image, admitted);
  return is_change;
}

Status Encoder::Prepare(const policy::Image& image, const policy::Changes* changes,
                        const Bindings& bindings, Admitted& admitted) {
  uint32_t next = half() ^ 1;
  WriteDeferring(next, defer_);
  Result<Bindings> placed = endpoints_.Admit(image, bindings);
  if (!placed) return std::move(placed).error();
  admitted.bindings = *std::move(placed);
  for (const auto& [name, binding] : bindings)
    if (image.endpoints.contains(name) && !admitted.bindings.contains(name))
      admitted.refused[name] = "endpoints";
  admitted.local = LocalAddresses(admitted.bindings);
  Status status = peers_.Prepare(image, changes, admitted.local, defer_, next);
  if (!status.ok()) return status;
  // An address that is not known as a pod's here, another pod here could take.
  std::erase_if(admitted.bindings, [&](const auto& entry) {
    const std::vector<net::Address>& own = entry.second.addresses;
    bool unknown = std::any_of(own.begin(), own.end(), [this](const net::Address& address) {
      return peers_.left_out().contains(address);
    });
    if (unknown) admitted.refused[entry.first] = "peers";
    return unknown;
  });
  prefixes_.Prepare(image.prefixes, changes ? &changes->prefixes : nullptr, next);
  status = sets_.Prepare(image, changes);
  if (!status.ok()) return status;
  auto number = [this](policy::SetId set) {
    return peers_.is_misleading() ? SP_SET_FULL : sets_.Number(set);
  };
  pins_.Prepare(admitted.bindings);
  auto pins = [this](const Binding& binding) { return pins_.Number(binding); };
  endpoints_.Prepare(image, admitted.bindings, number, pins, next);
  return Ok();
}

bool Encoder::changed() const {
  return peers_.changed() || prefixes_.changed() || sets_.changed() || endpoints_.changed() ||
         IsDeferring() != defer_;
}

void Encoder::WriteDeferring(uint32_t half, bool deferring) {
  around_.pen.Update(tables_.control->deferring[half], deferring ? 1u : 0u);
}

Status Encoder::Flip() {
#ifndef __x86_64__
  // Stores may become visible out of order to a reader that takes no barrier: let every program
  // that could have read early end first.
  if (Status status = around_.grace_period(); !status.ok()) return status;
#endif
  if (Status status = around_.before_flip(); !status.ok()) return status;
  around_.pen.Store(tables_.control->generation, generation() + 1);
  settled_ = false;
  return Ok();
}

void Encoder::Commit(const policy::Image& image, const Admitted& admitted) {
  peers_.Commit(image, admitted.local);
  sets_.Commit();
  pins_.Commit();
  uses_.Commit();
  std::map<std::string, Shortfall> found;
  for (const auto& [table, count] : sets_.left_out()) found[table].left_out = count;
  found["prefixes"].left_out = prefixes_.left_out();
  found["pin_prefixes"].left_out = pins_.left_out();
  found["peers"].left_out = peers_.left_out().size();
  found["peers"].denies_all = peers_.is_misleading();
  for (const auto& [name, table] : admitted.refused) {
    if (table == "endpoints") ++found[table].left_out;
    found[table].closed.insert(name);
  }
  shortfalls_.clear();
  for (const TableUse& use : Use()) {
    Shortfall& shortfall = found[use.name];
    if (shortfall.left_out == 0) continue;
    shortfall.use = use;
    shortfalls_.push_back(std::move(shortfall));
  }
  synced_ = shortfalls_.empty();
}

void Encoder::Undo() {
  endpoints_.Undo();
  pins_.Undo();
  sets_.Undo();
  prefixes_.Undo();
  peers_.Undo();
  WriteDeferring(half() ^ 1, IsDeferring());
  uses_.Commit();
}

Status Encoder::Settle() {
  if (settled_) return Ok();
  if (Status status = around_.grace_period(); !status.ok()) return status;
  if (endpoints_.Readdress())
    if (Status status = around_.grace_period(); !status.ok()) return status;
  peers_.Settle();
  prefixes_.Settle();
  sets_.Settle();
  endpoints_.Settle();
  pins_.Settle();
  WriteDeferring(half() ^ 1, IsDeferring());
  settled_ = true;
  return Ok();
}

std::vector<TableUse> Encoder::Use() const {
  const PortTables& ports = sets_.ports();
  return {{"endpoints", endpoints_.used(), endpoints_.capacity()},
          {"peers", peers_.used(), peers_.capacity()},
          {"rules", sets_.used(), sets_.capacity()},
          {"port_sets", ports.sets_used(), ports.sets_capacity()},
          {"port_pages", ports.pages_used(), ports.pages_capacity()},
          {"prefixes", prefixes_.used(), prefixes_.capacity()},
          {"pin_sets", pins_.sets(), pins_.most_sets()},
          {"pin_prefixes", pins_.used(), pins_.capacity()}};
}

}  // namespace sallyport::dataplane

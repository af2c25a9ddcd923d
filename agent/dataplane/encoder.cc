// SPDX-License-Identifier: Apache-2.0
#include "dataplane/encoder.h"

#include <utility>

namespace sallyport::dataplane {
namespace {

// The addresses of the endpoints that will be open.
PeerTable::Local LocalAddresses(const policy::Image& image, const Bindings& bindings) {
  PeerTable::Local out;
  for (const auto& [name, binding] : bindings) {
    if (!image.endpoints.contains(name)) continue;
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
      endpoints_(tables_, around_) {}

Status Encoder::Adopt() {
  // A predecessor may have ended right after a flip.
  if (Status status = around_.grace_period(); !status.ok()) return status;
  peers_.Adopt(half());
  prefixes_.Adopt(half());
  endpoints_.Adopt(half());
  sets_.Adopt(endpoints_.SetsInForce(half()));
  WriteDeferring(half() ^ 1, IsDeferring());
  uses_.Commit();
  return around_.grace_period();
}

Status Encoder::Apply(const policy::Image& image, const policy::Changes* changes,
                      const Bindings& bindings) {
  if (Status status = Settle(); !status.ok()) return status;
  PeerTable::Local local = LocalAddresses(image, bindings);
  Status status = Prepare(image, synced_ ? changes : nullptr, bindings, local);
  if (status.ok() && changed()) status = Flip();
  if (!status.ok()) {
    Undo();
    return status;
  }
  Commit(image, local);
  return endpoints_.readdresses() ? Settle() : Ok();
}

Status Encoder::Prepare(const policy::Image& image, const policy::Changes* changes,
                        const Bindings& bindings, const PeerTable::Local& local) {
  uint32_t next = half() ^ 1;
  WriteDeferring(next, defer_);
  Status status = peers_.Prepare(image, changes, local, defer_, next);
  if (!status.ok()) return status;
  status = prefixes_.Prepare(image.prefixes, changes ? &changes->prefixes : nullptr, next);
  if (!status.ok()) return status;
  status = sets_.Prepare(image, changes);
  if (!status.ok()) return status;
  auto number = [this](policy::SetId set) { return sets_.Number(set); };
  return endpoints_.Prepare(image, bindings, number, next);
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

void Encoder::Commit(const policy::Image& image, const PeerTable::Local& local) {
  peers_.Commit(image, local);
  sets_.Commit();
  uses_.Commit();
  synced_ = true;
}

void Encoder::Undo() {
  endpoints_.Undo();
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
          {"prefixes", prefixes_.used(), prefixes_.capacity()}};
}

}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// Follows the Leases of port blocks and egress IPs, and writes them: what stands between egress/
// and an API server.
//
//  server ─ list, watch ─► reflector ─► LeaseBook ─► LeaseEvents
//         ◄─ requests ──── two workers ◄─ Ask ──────  (blocks wait for blocks, addresses for
//         addresses)
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "egress/port_blocks.h"
#include "gateway/lease_object.h"
#include "kube/client.h"
#include "watch/reflector.h"

namespace sallyport::gateway {

// Who hears of Leases: what the state machines of egress/ want to be told, in the order of the
// watch.
class LeaseEvents {
 public:
  virtual ~LeaseEvents() = default;
  // It is so; also where it is as before.
  virtual void Set(const egress::BlockLease& lease) = 0;
  virtual void Set(const egress::AddressLease& lease) = 0;
  // Of this creation.
  virtual void RemoveBlock(const egress::BlockId& id, const std::string& uid) = 0;
  virtual void RemoveAddress(const net::Address& address, const std::string& uid) = 0;
  // All there are have been told; again after each complete list.
  virtual void Listed() = 0;
  // What came of what was asked. `stands`: as for PortBlocks::Done. `error`: of kFailed, why.
  virtual void Done(const egress::BlockAction& action, egress::Outcome outcome,
                    const std::optional<egress::BlockLease>& stands, const std::string& error) = 0;
  virtual void Done(const egress::AddressAction& action, egress::Outcome outcome,
                    const std::optional<egress::AddressLease>& stands,
                    const std::string& error) = 0;
  // A Lease that is not understood, once for each version of it.
  virtual void Problem(const std::string& problem) = 0;
  virtual void State(const watch::WatchState& state) = 0;
};

// Makes events of the watched objects. One that is not understood stays as it was last understood;
// if it never was, it is a block that is nobody's (ClosedBlock) or an address that nobody holds.
// Not thread-safe.
class LeaseBook : public watch::ObjectSink {
 public:
  explicit LeaseBook(LeaseEvents& events) : events_(events) {}
  void BeginList() override;
  void Set(std::string_view object) override;
  void Remove(std::string_view object) override;
  void EndList() override;

  // What stands after an action, as the events would tell it; nothing if it means nothing.
  std::optional<egress::BlockLease> BlockOf(const LeaseObject& lease) const;
  std::optional<egress::AddressLease> AddressOf(const LeaseObject& lease) const;

 private:
  struct Entry {
    egress::LeaseMeta meta;
    std::optional<egress::BlockLease> good;  // as it was last understood
    bool listed = false;                     // since the list that runs began
  };
  void Forget(const std::string& name, const Entry& entry);

  LeaseEvents& events_;
  std::map<std::string, Entry> entries_;
};

class LeaseClient {
 public:
  // Begins to follow. The client and the events must outlive it. Events come on threads of this
  // object, one at a time, and must not wait; none comes after the destructor has returned.
  LeaseClient(kube::Client& client, std::string ns, LeaseEvents& events,
              const watch::ReflectorOptions& options = {});
  // Ends the watch and what is asked; what still waits is never answered.
  ~LeaseClient();

  // Returns at once; Done tells the outcome. False: too many wait (the server hangs), nothing will
  // be told, and it counts as kFailed. Thread-safe, and may be called from events.
  [[nodiscard]] bool Ask(const egress::BlockAction& action);
  [[nodiscard]] bool Ask(const egress::AddressAction& action);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::gateway

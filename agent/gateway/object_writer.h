// SPDX-License-Identifier: Apache-2.0
// Writes the status of EgressGateways, and Events about them, on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "gateway/event_ledger.h"
#include "gateway/lease_requests.h"
#include "gateway/status_object.h"
#include "kube/client.h"

namespace sallyport::gateway {

// One request or two each, to their end. Not thread-safe.
class GatewayRequests {
 public:
  GatewayRequests(SendRequest send, std::string node);
  // Reads the object and brings its status to `wanted`, unless it is there already. Done too where
  // the object is no more.
  Status WriteStatus(const GatewayStatus& wanted, WallTime now) const;
  // The Event's name. ENOENT: the one that was to be patched is no more.
  Result<std::string> WriteEvent(const EventLedger::Write& write, WallTime now);

 private:
  const SendRequest send_;
  const std::string node_;
  uint64_t events_ = 0;
};

class ObjectWriter {
 public:
  // What cannot be written, for the log: told when it changes, "" when all is written again. On the
  // writer's thread; must not wait.
  using OnProblem = std::function<void(const std::string& problem)>;

  // The client must outlive it. `node`: this one, who the Events are from.
  ObjectWriter(kube::Client& client, std::string node, OnProblem on_problem = {});
  // What is not written by then never is.
  ~ObjectWriter();

  // All return at once. Of an object's statuses the last one counts; one that was not written is
  // tried again with growing pauses until it is, or another comes.
  void SetStatus(GatewayStatus status);
  // Somebody may have written over them: each status is written again, if it is not there.
  void LookAgain();
  // Nothing more is said of the object's status.
  void ForgetStatus(const std::string& name);
  void Tell(GatewayEvent event);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::gateway

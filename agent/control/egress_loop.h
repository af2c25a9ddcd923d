// SPDX-License-Identifier: Apache-2.0
// The thread for egress IPs: asks the steward what is to be done, at each beat and after each piece
// of news, and does it. The kernel goes on without it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/queue.h"
#include "control/egress_hands.h"
#include "control/steward.h"
#include "gateway/heartbeat_socket.h"
#include "gateway/lease_client.h"
#include "gateway/object_writer.h"
#include "kube/client.h"

namespace sallyport::control {

struct EgressOptions {
  std::string node;
  std::string lease_namespace;
  uint16_t tunnel_port = 0, heartbeat_port = 0;
  uint32_t vni = 0;
  gateway::HeartbeatKey key;
};

// What is known and done, for who asks.
struct EgressReport {
  EgressNews news;
  Intent intent;
  std::map<net::Address, dataplane::EgressUse> use;
  egress::BlockLeases leases;
  std::map<net::Address, std::string> failed;  // what could not be held, and why
  std::map<net::Address, egress::Millis> held_since;
  uint64_t takeovers = 0;
  egress::Millis now = 0;
};

class EgressLoop {
 public:
  // `client`: nullptr where objects do not come from an API server; then no ports can be leased,
  // and what is pinned is dropped. Both references must outlive it. Starts the thread.
  EgressLoop(const EgressOptions& options, dataplane::Dataplane& dataplane, kube::Client* client);
  // Gives up what this node holds to who can take it, if that takes no longer than a moment, and
  // ends.
  ~EgressLoop();

  // Thread-safe.
  void Tell(EgressNews news);
  EgressReport Report() const;

 private:
  using Task = std::function<void()>;
  void Run();
  Duration Patience() const;
  void Turn();
  void Listen();
  void Hear(const gateway::ReceivedHeartbeat& received);
  void Speak(const Intent& intent);
  void Ask(const Intent& intent);
  void Publish(Intent intent, std::map<net::Address, std::string> failed);
  bool IsAtRest() const;
  Moment MomentNow();

  const EgressOptions options_;
  dataplane::Dataplane& dataplane_;
  kube::Client* const client_;
  EgressHands hands_;
  Steward steward_;
  std::unique_ptr<gateway::LeaseClient> leases_;
  std::unique_ptr<gateway::ObjectWriter> writer_;
  std::optional<gateway::HeartbeatSocket> socket_;
  std::vector<net::Address> socket_addresses_;
  std::jthread listener_;

  // The thread's own.
  bool told_ = false;
  bool leaving_ = false;
  bool api_reachable_ = false, leases_listed_ = false;
  egress::Millis last_word_ = 0, last_use_ = 0, last_status_ = 0;
  bool gateway_ = false;  // heartbeats are to be sent
  std::string said_;      // the last error of the tables

  mutable std::mutex mutex_;
  EgressReport report_;

  Queue<Task> queue_;
  std::jthread thread_;
};

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// The thread for egress IPs: asks the steward what is to be done, at each beat and after each piece
// of news, and does it. The kernel goes on without it.
#pragma once

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
#include "control/egress_report.h"
#include "control/steward.h"
#include "gateway/heartbeat_socket.h"
#include "gateway/lease_client.h"
#include "gateway/object_writer.h"
#include "kube/client.h"
#include "observe/exhaustion.h"

namespace sallyport::control {

struct EgressOptions {
  std::string node;
  std::string boot_id;
  std::string lease_namespace;
  uint16_t tunnel_port = 0, heartbeat_port = 0;
  uint32_t vni = 0;
  gateway::HeartbeatKey key;
};

class EgressLoop : private gateway::LeaseEvents {
 public:
  // `client`: nullptr where objects do not come from an API server; then no ports can be leased,
  // and what is pinned is dropped. Both references must outlive it. Starts the thread.
  EgressLoop(const EgressOptions& options, dataplane::Dataplane& dataplane, kube::Client* client);
  // Gives up what this node holds to who can take it, if that takes no longer than a moment, and
  // ends.
  ~EgressLoop() override;

  // Thread-safe.
  void Tell(EgressNews news);
  EgressReport Report() const;

 private:
  using Task = std::function<void()>;
  // On the Lease client's threads: what they say waits for this one.
  void Set(const egress::BlockLease& lease) override;
  void Set(const egress::AddressLease& lease) override;
  void RemoveBlock(const egress::BlockId& id, const std::string& uid) override;
  void RemoveAddress(const net::Address& address, const std::string& uid) override;
  void Listed() override;
  void Done(const egress::BlockAction& action, egress::Outcome outcome,
            const std::optional<egress::BlockLease>& stands, const std::string& error) override;
  void Done(const egress::AddressAction& action, egress::Outcome outcome,
            const std::optional<egress::AddressLease>& stands, const std::string& error) override;
  void Problem(const std::string& problem) override;
  void State(const watch::WatchState& state) override;

  void Run();
  Duration Patience() const;
  void Turn();
  void OpenSocket();
  egress::Millis ListeningSince(egress::Millis now) const;
  bool Hear(const gateway::ReceivedHeartbeat& received);
  void Speak(const Intent& intent);
  void Ask(const Intent& intent);
  void Publish(Intent intent, std::map<net::Address, std::string> failed);
  void Foresee();
  void WriteStatus(const EgressReport& report);
  Moment MomentNow();

  const EgressOptions options_;
  dataplane::Dataplane& dataplane_;
  EgressHands hands_;
  Steward steward_;

  // The thread's own.
  bool told_ = false, leaving_ = false, ended_ = false;
  bool api_reachable_ = false, leases_listed_ = false;
  egress::Millis last_word_ = 0, last_use_ = 0, last_turn_ = 0, last_published_ = 0;
  const egress::Millis started_;
  uint32_t refusals_ = 0;                    // at the last look at all flows
  egress::Millis listening_ = 0;             // since when; 0: not yet
  std::optional<egress::Millis> next_beat_;  // when heartbeats are to be sent
  size_t idle_tasks_ = 0;                    // of those just done: they change nothing
  std::string said_;                         // the last error of the tables
  std::optional<dataplane::EgressState> applied_;
  std::map<net::Address, dataplane::EgressUse> use_;
  std::map<net::Address, observe::Exhaustion> foresight_;
  std::map<net::Address, egress::Millis> held_since_;
  std::map<std::string, egress::Millis> heard_;
  uint64_t takeovers_ = 0;
  std::optional<gateway::HeartbeatSocket> socket_;
  std::vector<net::Address> socket_addresses_;
  std::string socket_error_;

  mutable std::mutex mutex_;
  EgressReport report_;

  Queue<Task> queue_;
  std::unique_ptr<gateway::LeaseClient> leases_;
  std::unique_ptr<gateway::ObjectWriter> writer_;
  std::map<std::string, gateway::GatewayStatus> written_;
  std::map<std::string, egress::Millis> nobody_since_;
  egress::Millis last_status_ = 0, last_look_ = 0;
  std::jthread listener_;
  std::jthread thread_;
};

}  // namespace sallyport::control

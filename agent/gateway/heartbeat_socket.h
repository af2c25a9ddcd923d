// SPDX-License-Identifier: Apache-2.0
// Where heartbeats are sent and received: UDP between the nodes' own addresses, ahead of other
// traffic (DSCP CS6).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "gateway/heartbeat_key.h"
#include "net/address.h"

namespace sallyport::gateway {

struct ReceivedHeartbeat {
  net::Address from;
  std::string datagram;  // sealed by who has the key; what it says is not looked at
};

// Not thread-safe, but one thread may send while another receives.
class HeartbeatSocket {
 public:
  // `own`: this node's addresses, where the others send to: at least one, of each family one at
  // most.
  static Result<HeartbeatSocket> Open(const std::vector<net::Address>& own, uint16_t port,
                                      HeartbeatKey key = {});

  // Seals the datagram and sends it to each, at the same port; never waits. Returns to how many it
  // could not be sent: of a family that `own` has not, no route, no room. The next one may arrive.
  size_t Send(std::string datagram, const std::vector<net::Address>& to);

  // Waits until one comes, or for so long; returns all that wait, 64 at most. Whether they are from
  // nodes is the caller's to say. What is too long or not sealed as it should be is left out.
  Result<std::vector<ReceivedHeartbeat>> Receive(Duration wait);
  // How many were left out.
  uint64_t refused() const { return refused_; }

 private:
  struct One {
    UniqueFd socket;
    bool v4 = false;
  };
  HeartbeatSocket(std::vector<One> sockets, uint16_t port, HeartbeatKey key)
      : sockets_(std::move(sockets)), port_(port), key_(std::move(key)) {}
  void Drain(const One& one, std::vector<ReceivedHeartbeat>& out);

  std::vector<One> sockets_;
  uint16_t port_;
  HeartbeatKey key_;
  uint64_t refused_ = 0;
};

}  // namespace sallyport::gateway

// SPDX-License-Identifier: Apache-2.0
// Who may say that it is a gateway: HMAC-SHA256 over the heartbeat, in the room that its format
// leaves at the end (egress/heartbeat.h). Without a key the room is zeros, and whoever can send
// from a node's address is believed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::gateway {

class HeartbeatKey {
 public:
  // None: zeros.
  HeartbeatKey() = default;
  // The first is used, all are accepted: so a new one can be given to all nodes as the second, then
  // be made the first, and the old one be taken away, and no heartbeat is refused meanwhile.
  explicit HeartbeatKey(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  // A file with a key in each line, of 16 characters at least; white space around it does not
  // count. An error if there is none, or a shorter one: no key at all is said by no file.
  static Result<HeartbeatKey> Read(const std::string& path);

  // Fills the room. Requires a datagram that has it.
  void Seal(std::string& datagram) const;
  // Whether the room is filled by somebody who has one of the keys (zeros, where there are none).
  bool Check(std::string_view datagram) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace sallyport::gateway

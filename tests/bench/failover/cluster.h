// SPDX-License-Identifier: Apache-2.0
// A lab with one node for pods, two gateways and one egress IP, and what happens to gateways there.
// Throws std::runtime_error where something does not come about.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/address.h"

namespace sallyport::bench {

class Cluster {
 public:
  // `lab up`, with agents; until the address is held.
  Cluster();
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Network namespaces: of the pinned pod, and of the outside that has this address.
  std::string pod() const;
  std::string outside() const;
  static net::Address Partner();
  static net::Address EgressIp();

  // The gateway that has the egress IP; "": none has, or two have.
  std::string Holder() const;
  // Waits until it is another one than this.
  std::string AwaitOtherHolder(const std::string& node) const;

  // Its cable is silent and its agent is killed, as if it had lost its power.
  void Kill(const std::string& node);
  void Cordon(const std::string& node);
  // SIGTERM to its agent.
  void Stop(const std::string& node);
  // All that was done to it is undone; until it could take the address again.
  void Revive(const std::string& node);

 private:
  void Tool(std::vector<std::string> arguments) const;
  void Kubectl(std::vector<std::string> arguments) const;
  void SetPort(const std::string& node, const char* state) const;
  bool Hears(const std::string& node, const std::string& other) const;

  std::string folder_;
  std::string killed_, stopped_, cordoned_;
};

}  // namespace sallyport::bench

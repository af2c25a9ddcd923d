// SPDX-License-Identifier: Apache-2.0
// A lab with gateways, and a capture at its outside over each test.
#pragma once

#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "lab/egress/capture.h"
#include "lab/egress/crowd.h"
#include "lab/lab/lab_fixture.h"

namespace sallyport::lab {

inline constexpr const char* kEgressV4 = "203.0.113.10";
inline constexpr const char* kEgressV6 = "2001:db8:ffff::10";
// Outside, and only pinned pods send there.
inline constexpr const char* kPartnerV4 = "198.51.100.20";
inline constexpr const char* kPartnerV6 = "2001:db8:100::20";
// Outside as well: to whom anybody sends.
inline constexpr const char* kAnyoneV4 = "198.51.100.10";
inline constexpr uint16_t kPort = 9000;

net::Address AddressOf(const std::string& text);
std::vector<net::Address> Partners();

class EgressTest : public LabTest {
 protected:
  void TearDown() override;

  // `lab up` with agents, with these nodes: those called gw… are gateways. Then the capture begins.
  void UpEgress(const std::vector<std::string>& nodes, const std::string& yaml,
                const std::vector<std::string>& more = {});
  Capture& capture() {
    if (!capture_) throw std::logic_error("the lab is not up, so nothing is captured");
    return *capture_;
  }

  void Apply(const std::string& yaml) { Kube({"apply", "-f", File(yaml)}); }
  std::string OutsideNetns();
  std::string PodNetns(const std::string& pod);  // of namespace app
  // `ip` in a node's network namespace; its output.
  std::string Ip(const std::string& node, const std::vector<std::string>& arguments);
  // The node whose interface has the address, if it is one alone; "" otherwise.
  std::string Holder(const std::string& address);
  void AwaitHolder(const std::string& address, const std::string& node);
  // Who has it after somebody other than `node` took it; its agent runs.
  std::string AwaitOtherHolder(const std::string& address, const std::string& node);
  // spec.holderIdentity
  std::string LeaseHolder(const std::string& lease);
  // Names of Leases that begin so.
  std::vector<std::string> Leases(const std::string& prefix);

  void Agent(const std::string& verb, const std::string& node);
  // The node's cable, in silence: nobody loses a carrier.
  void Unplug(const std::string& node);
  void Plug(const std::string& node);

  // Packets of the pod that its node dropped for that reason.
  uint64_t Dropped(const std::string& pod, const std::string& reason);

 private:
  bool Has(const std::string& node, const std::string& address);
  std::string PortOf(const std::string& node);
  void SetPort(const std::string& node, const char* state);

  std::vector<std::string> nodes_;
  std::set<std::string> cut_off_;
  std::unique_ptr<Capture> capture_;
};

// YAML of a pod in namespace app that sleeps; `labels`: "a: b", of a pinned one kPinned.
inline constexpr const char* kPinned = "pinned: \"true\"";
std::string Sleeper(const std::string& name, const std::string& node,
                    const std::string& labels = kPinned);
// Of an EgressGateway for the pinned pods of namespace app.
std::string Gateway(const std::string& name = "partner",
                    const std::string& ips = std::string(kEgressV4) + "\", \"" + kEgressV6,
                    const std::string& spec = "");

}  // namespace sallyport::lab

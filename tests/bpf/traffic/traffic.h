// SPDX-License-Identifier: Apache-2.0
// Real packets between real network namespaces: two pods with the programs on their interfaces, an
// outside without, and the node between them.
#pragma once

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/unique_fd.h"
#include "support/kernel.h"
#include "support/packet.h"
#include "support/sandbox.h"

namespace sallyport::test {

// Of the node; the sandbox gives it 169.254.1.1 and fe80::1 at each pod, the rest is added here.
inline constexpr const char* kNodeV4 = "10.99.1.1";
inline constexpr const char* kNodeV6 = "fd99:1::1";

// A program that sees what the pod sends, on its side.
UniqueFd AttachInside(const Pod& pod, std::span<const bpf_insn> program,
                      const std::string& device = "eth0");

inline constexpr uint32_t kOpen = 0, kNothing = 1, kSet = 2;
inline constexpr uint32_t kWebIdentity = 11, kDbIdentity = 12, kOutsideIdentity = 13;

// Where a socket is made.
using Place = std::function<void(const std::function<void()>&)>;
Place In(const Pod& pod);
Place OnNode();

// Of tests whose parameter is the family.
inline std::string FamilyName(const testing::TestParamInfo<int>& info) {
  return "IPv" + std::to_string(info.param);
}

// Of an interface where this thread is.
Bytes LinkAddress(const std::string& device);
// To the interface that the pod's own leads to.
Ethernet ToNode(const Pod& pod);

class TrafficTest : public testing::TestWithParam<int> {
 protected:
  explicit TrafficTest(const KernelOptions& options = {.endpoints = 4096}, Hook hook = Hook::kTcx);

  bool v6() const { return GetParam() % 10 == 6; }
  net::Address Of(const Pod& pod) const { return v6() ? pod.v6() : pod.v4(); }
  net::Address Node() const { return Ip(v6() ? kNodeV6 : kNodeV4); }

  // States both endpoints and puts all that was stated in force.
  void Enforce(const Endpoint& web, const Endpoint& db);

  // A listening TCP or a bound UDP socket; by default on every address.
  UniqueFd Listen(const Place& place, int type, uint16_t port,
                  std::optional<net::Address> address = {}) const;
  // What comes of connecting: "open", "refused", or the reason of the drop that ended it, of a
  // packet to or from `translated` if the node translates the port.
  std::string Connect(const Place& from, const net::Address& to, uint16_t port,
                      uint16_t translated = 0);
  // The connected socket; what must come of it is "open".
  UniqueFd Connected(const Place& from, const net::Address& to, uint16_t port,
                     int type = SOCK_STREAM);
  // What comes of a datagram, with `server` bound to that port: "open", or the reason of its drop.
  // If it arrives it is answered, and the answer's reason counts too.
  std::string Ask(const Place& from, const net::Address& to, uint16_t port, const UniqueFd& server,
                  size_t size = 100);
  // What comes of a ping.
  std::string Ping(const Place& from, const net::Address& to);
  // Sends a frame as it is.
  void SendFrame(const Place& from, const Bytes& frame, const char* device = "eth0") const;
  void SendFrames(const Place& from, std::span<const Bytes> frames,
                  const char* device = "eth0") const;
  // Puts both pods on a bridge, where they talk without the node's routes.
  void Bridge();
  void TearDown() override;
  // The first new drop of a packet to or from this port (0: of ICMP); "" if there was none.
  std::string Dropped(uint16_t port);

  Kernel k;
  Pod web{1}, db{2}, outside{3};
};

}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
#include "gateway/announce.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/netlink.h"
#include "base/unique_fd.h"
#include "gateway/announce_frames.h"
#include "gateway/route_questions.h"

namespace sallyport::gateway {

Status Announce(uint32_t ifindex, const net::Address& egress_ip) {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  auto uplink = FindInterface(*socket, ifindex);
  if (!uplink) return std::move(uplink).error();
  const std::string what = "announcing " + egress_ip.ToString();
  if (!*uplink) return ErrnoError(what, ENODEV);
  const Interface& device = **uplink;
  bool ethernet = device.hardware == ARPHRD_ETHER && !(device.flags & IFF_NOARP);
  if (!ethernet || !device.mac) return Ok();

  // Of protocol 0: nothing is received.
  UniqueFd raw(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!raw) return ErrnoError(what);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(ifindex);
  to.sll_halen = 6;
  for (const std::string& frame : AnnouncementFrames(*device.mac, egress_ip)) {
    std::copy_n(frame.begin(), to.sll_halen, to.sll_addr);
    ssize_t sent = sendto(raw.get(), frame.data(), frame.size(), MSG_DONTWAIT,
                          reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (sent != static_cast<ssize_t>(frame.size())) return ErrnoError(what + " on " + device.name);
  }
  return Ok();
}

}  // namespace sallyport::gateway

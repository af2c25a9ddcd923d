// SPDX-License-Identifier: Apache-2.0
// Whatever netlink says, and pods make it say some of it: each message changes only what it is
// about, twice is as once, and an interface becomes the node's own way out only by a permanent
// address or a listed default route that no router advertised. Names are what the attribute holds.
//
// The input: messages, each of a byte (bits 0-3: its type; bit 7: it was asked for), the length of
// its payload (one byte), and the payload.
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "endpoint/link_socket.h"
#include "fuzz/input.h"

namespace sallyport::endpoint {
namespace {

constexpr int kTypes[] = {RTM_NEWLINK,  RTM_DELLINK,  RTM_NEWADDR,  RTM_DELADDR,    RTM_NEWROUTE,
                          RTM_DELROUTE, RTM_NEWQDISC, RTM_DELQDISC, RTM_DELTFILTER, RTM_NEWNEIGH};

// A message of its own size, so that a sanitizer sees what is beyond it.
struct Message {
  Message(int kind, std::string_view payload) : bytes(NLMSG_HDRLEN + payload.size()) {
    nlmsghdr header{};
    header.nlmsg_len = static_cast<uint32_t>(bytes.size());
    header.nlmsg_type = static_cast<uint16_t>(kind);
    memcpy(bytes.data(), &header, sizeof(header));
    std::copy(payload.begin(), payload.end(), bytes.begin() + NLMSG_HDRLEN);
    bytes.shrink_to_fit();
  }
  const nlmsghdr* header() const { return reinterpret_cast<const nlmsghdr*>(bytes.data()); }
  template <typename Fixed>
  std::optional<Fixed> Read() const {
    if (bytes.size() < NLMSG_HDRLEN + sizeof(Fixed)) return std::nullopt;
    Fixed out;
    memcpy(&out, bytes.data() + NLMSG_HDRLEN, sizeof(out));
    return out;
  }
  std::vector<char> bytes;
};

// What a message may change: one link's things, or (0) none's.
uint32_t About(const Message& message) {
  switch (message.header()->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK: {
      auto info = message.Read<ifinfomsg>();
      return info && info->ifi_family == AF_UNSPEC ? static_cast<uint32_t>(info->ifi_index) : 0;
    }
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      auto info = message.Read<ifaddrmsg>();
      return info ? info->ifa_index : 0;
    }
    case RTM_NEWQDISC:
    case RTM_DELQDISC: {
      auto info = message.Read<tcmsg>();
      return info ? static_cast<uint32_t>(info->tcm_ifindex) : 0;
    }
    default:
      return 0;
  }
}

// The kernel's own way to walk attributes.
std::string NameOf(const Message& message) {
  int left = static_cast<int>(message.bytes.size() - NLMSG_LENGTH(sizeof(ifinfomsg)));
  const auto* at = reinterpret_cast<const rtattr*>(message.bytes.data() +
                                                   NLMSG_LENGTH(NLMSG_ALIGN(sizeof(ifinfomsg))));
  for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if ((at->rta_type & NLA_TYPE_MASK) != IFLA_IFNAME) continue;
    return std::string(static_cast<const char*>(RTA_DATA(at)),
                       strnlen(static_cast<const char*>(RTA_DATA(at)), RTA_PAYLOAD(at)));
  }
  return "";
}

void CheckUplink(const Message& message, bool listed, uint32_t ifindex) {
  int type = message.header()->nlmsg_type;
  if (type == RTM_NEWADDR) {
    auto info = message.Read<ifaddrmsg>();
    CHECK(info && info->ifa_index == ifindex && info->ifa_prefixlen < 128);
    return;
  }
  if (type == RTM_NEWLINK) return;  // of what was said before there was such a link
  auto info = message.Read<rtmsg>();
  CHECK((type == RTM_NEWROUTE || type == RTM_DELROUTE) && listed) << type;
  CHECK(info && info->rtm_dst_len == 0 && info->rtm_type == RTN_UNICAST);
  CHECK(info->rtm_protocol != RTPROT_RA);
}

void CheckChange(const Message& message, bool listed, const Links& before, const Links& after) {
  uint32_t about = About(message);
  for (const auto& [ifindex, link] : after) {
    auto was = before.find(ifindex);
    bool uplink_before = was != before.end() && was->second.uplink;
    if (link.uplink && !uplink_before) CheckUplink(message, listed, ifindex);
    if (ifindex == about) continue;
    CHECK(was != before.end()) << ifindex;
    Link same = link;
    same.uplink = was->second.uplink;  // a list of routes may name any
    CHECK(same == was->second) << ifindex;
  }
  for (const auto& [ifindex, link] : before) CHECK(after.contains(ifindex) || ifindex == about);
}

void CheckMessage(const Message& message, bool listed, LinkTable& table) {
  int type = message.header()->nlmsg_type;
  Links before = table.links();
  (void)table.TakeRemoved();
  LinkSocket::News news = LinkSocket::TakeMessage(NetlinkMessage(message.header()), listed, table);
  CHECK(news.any);
  Links after = table.links();
  CheckChange(message, listed, before, after);
  uint32_t about = About(message);
  if (type == RTM_NEWLINK && message.Read<ifinfomsg>() &&
      message.Read<ifinfomsg>()->ifi_family == AF_UNSPEC) {
    CHECK(after.at(about).name == NameOf(message));
    CHECK(after.at(about).name.find('\0') == std::string::npos);
  }
  auto removed = table.TakeRemoved();
  if (type == RTM_DELLINK && about != 0) CHECK(removed.contains(about) && !after.contains(about));
  if (type != RTM_DELLINK) CHECK(removed.empty());

  auto addresses = table.addresses();
  (void)LinkSocket::TakeMessage(NetlinkMessage(message.header()), listed, table);
  CHECK(table.links() == after && table.addresses() == addresses);
}

}  // namespace
}  // namespace sallyport::endpoint

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::endpoint;
  std::string_view text = sallyport::fuzz::Text(data, size);
  LinkTable table;
  for (int messages = 0; text.size() >= 2 && messages < 32; ++messages) {
    auto kind = static_cast<uint8_t>(text[0]);
    size_t length = std::min<size_t>(static_cast<uint8_t>(text[1]), text.size() - 2);
    Message message(kTypes[(kind & 15u) % std::size(kTypes)], text.substr(2, length));
    CheckMessage(message, kind & 0x80, table);
    text.remove_prefix(2 + length);
  }
  Links links = table.links();
  for (const Link& link : Difference({}, links).set) CHECK(links.at(link.ifindex) == link);
  CHECK(Difference(links, links).empty());
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "gateway/route_questions.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sallyport::gateway {
namespace {

constexpr int kListTries = 10;

bool IsSet(const NetlinkAttributes& attributes, int type) {
  return attributes.Get<uint8_t>(type).value_or(0) != 0;
}

void ReadVxlan(const NetlinkAttributes& data, Interface& out) {
  uint16_t port = data.Get<uint16_t>(IFLA_VXLAN_PORT).value_or(0);
  out.port = static_cast<uint16_t>(port << 8 | port >> 8);
  out.external = IsSet(data, IFLA_VXLAN_COLLECT_METADATA);
  out.learning = IsSet(data, IFLA_VXLAN_LEARNING);
  out.zero_checksums6 =
      IsSet(data, IFLA_VXLAN_UDP_ZERO_CSUM6_TX) && IsSet(data, IFLA_VXLAN_UDP_ZERO_CSUM6_RX);
}

std::optional<Interface> ReadInterface(const NetlinkMessage& message) {
  ifinfomsg info{};
  NetlinkAttributes attributes;
  if (message.type() != RTM_NEWLINK || !message.Split(info, attributes)) return std::nullopt;
  Interface out;
  out.ifindex = static_cast<uint32_t>(info.ifi_index);
  out.flags = info.ifi_flags;
  out.hardware = info.ifi_type;
  out.name = attributes.Text(IFLA_IFNAME);
  out.mtu = attributes.Get<uint32_t>(IFLA_MTU).value_or(0);
  out.group = attributes.Get<uint32_t>(IFLA_GROUP).value_or(0);
  out.mac = attributes.Get<std::array<uint8_t, 6>>(IFLA_ADDRESS);
  NetlinkAttributes kind = attributes.Nested(IFLA_LINKINFO);
  out.kind = kind.Text(IFLA_INFO_KIND);
  if (out.kind == "vxlan") ReadVxlan(kind.Nested(IFLA_INFO_DATA), out);
  return out;
}

std::optional<InterfaceAddress> ReadAddress(const NetlinkMessage& message) {
  ifaddrmsg info{};
  NetlinkAttributes attributes;
  if (message.type() != RTM_NEWADDR || !message.Split(info, attributes)) return std::nullopt;
  // On a point-to-point link IFA_ADDRESS is the far end's.
  auto bytes = attributes.Find(IFA_LOCAL);
  if (!bytes) bytes = attributes.Find(IFA_ADDRESS);
  if (!bytes) return std::nullopt;
  InterfaceAddress out;
  if (info.ifa_family == AF_INET && bytes->size() == 4) {
    uint32_t number = 0;
    for (char byte : *bytes) number = number << 8 | static_cast<uint8_t>(byte);
    out.address = net::Address::V4(number);
  } else if (info.ifa_family == AF_INET6 && bytes->size() == 16) {
    net::Address::Bytes copy;
    memcpy(copy.data(), bytes->data(), copy.size());
    out.address = net::Address(copy);
  } else {
    return std::nullopt;
  }
  out.ifindex = info.ifa_index;
  out.length = info.ifa_prefixlen;
  out.mark = attributes.Get<uint32_t>(IFA_RT_PRIORITY).value_or(0);
  return out;
}

template <typename One, typename Fixed>
Result<std::vector<One>> ListRoute(NetlinkSocket& socket, int type, const Fixed& fixed,
                                   std::optional<One> (*read)(const NetlinkMessage&)) {
  Status status;
  for (int i = 0; i < kListTries; ++i) {
    std::vector<One> out;
    status = socket.Ask(NetlinkRequest(type, NLM_F_DUMP, fixed), [&](const NetlinkMessage& m) {
      if (auto one = read(m)) out.push_back(std::move(*one));
    });
    if (status) return out;
    if (status.error().code != EINTR) break;  // EINTR: it changed under way
  }
  return std::move(status).error().Context("listing interfaces");
}

Result<std::optional<Interface>> AskForOne(NetlinkSocket& socket, const NetlinkRequest& request) {
  std::optional<Interface> out;
  Status status = socket.Ask(request, [&](const NetlinkMessage& m) { out = ReadInterface(m); });
  if (!status && status.error().code != ENODEV)
    return std::move(status).error().Context("asking for an interface");
  return out;
}

}  // namespace

Result<std::vector<Interface>> ListInterfaces(NetlinkSocket& socket) {
  return ListRoute<Interface>(socket, RTM_GETLINK, ifinfomsg{}, ReadInterface);
}

Result<std::vector<InterfaceAddress>> ListAddresses(NetlinkSocket& socket) {
  return ListRoute<InterfaceAddress>(socket, RTM_GETADDR, ifaddrmsg{}, ReadAddress);
}

Result<std::optional<Interface>> FindInterface(NetlinkSocket& socket, uint32_t ifindex) {
  ifinfomsg one{};
  one.ifi_index = static_cast<int>(ifindex);
  return AskForOne(socket, NetlinkRequest(RTM_GETLINK, 0, one));
}

Result<std::optional<Interface>> FindInterface(NetlinkSocket& socket, const std::string& name) {
  NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
  request.Put(IFLA_IFNAME, name);
  return AskForOne(socket, request);
}

std::string NameFor(NetlinkSocket& socket, uint32_t ifindex) {
  auto found = FindInterface(socket, ifindex);
  if (found && *found) return (*found)->name;
  return "interface " + std::to_string(ifindex);
}

std::string WireBytes(const net::Address& address) {
  const auto& bytes = address.bytes();
  size_t from = address.IsV4() ? 12 : 0;
  return {reinterpret_cast<const char*>(bytes.data()) + from, bytes.size() - from};
}

Status Change(NetlinkSocket& socket, const NetlinkRequest& request) {
  return socket.Ask(request, [](const NetlinkMessage&) {});
}

}  // namespace sallyport::gateway

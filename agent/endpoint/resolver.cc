// SPDX-License-Identifier: Apache-2.0
#include "endpoint/resolver.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include "base/netlink.h"
#include "base/unique_fd.h"

namespace sallyport::endpoint {
namespace {

// Nothing is opened that is no namespace: the path comes from a file, and opening a device or a
// pipe may have effects.
UniqueFd OpenNamespace(const std::string& path) {
  UniqueFd place(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct statfs info;
  if (!place || fstatfs(place.get(), &info) != 0 || info.f_type != NSFS_MAGIC) return UniqueFd();
  return UniqueFd(
      open(("/proc/self/fd/" + std::to_string(place.get())).c_str(), O_RDONLY | O_CLOEXEC));
}

class NetlinkResolver : public Resolver {
 public:
  explicit NetlinkResolver(NetlinkSocket socket) : socket_(std::move(socket)) {}

  std::optional<FarEnd> Find(const std::string& path, const std::string& name) override {
    if (path.empty() || name.empty()) return std::nullopt;
    UniqueFd fd = OpenNamespace(path);
    if (!fd) return std::nullopt;
    auto netns = NamespaceNumber(fd.get());
    if (!netns) return std::nullopt;
    if (*netns < 0) return FarEnd{-1, 0};
    auto ifindex = InterfaceOf(*netns, name);
    if (!ifindex) return std::nullopt;
    return FarEnd{*netns, *ifindex};
  }

  std::optional<uint32_t> Route(const net::Address& address) override {
    rtmsg route{};
    route.rtm_family = address.IsV4() ? AF_INET : AF_INET6;
    route.rtm_dst_len = address.IsV4() ? 32 : 128;
    size_t skip = address.IsV4() ? 12 : 0;
    NetlinkRequest request(RTM_GETROUTE, 0, route);
    request.Put(RTA_DST, address.bytes().data() + skip, address.bytes().size() - skip);
    std::optional<uint32_t> out;
    Ask(request, [&out](const NetlinkMessage& message) {
      rtmsg answer{};
      NetlinkAttributes attributes;
      if (!message.Split(answer, attributes) || answer.rtm_type != RTN_UNICAST) return;
      if (attributes.Find(RTA_GATEWAY) || attributes.Find(RTA_VIA)) return;
      out = attributes.Get<uint32_t>(RTA_OIF);
    });
    return out;
  }

 private:
  std::optional<int> NamespaceNumber(int fd) {
    NetlinkRequest request(RTM_GETNSID, 0, rtgenmsg{});
    request.Put(NETNSA_FD, static_cast<uint32_t>(fd));
    std::optional<int> out;
    Ask(request, [&out](const NetlinkMessage& message) {
      rtgenmsg answer{};
      NetlinkAttributes attributes;
      if (message.Split(answer, attributes)) out = attributes.Get<int32_t>(NETNSA_NSID);
    });
    return out;
  }

  std::optional<uint32_t> InterfaceOf(int netns, const std::string& name) {
    NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
    request.Put(IFLA_TARGET_NETNSID, static_cast<uint32_t>(netns)).Put(IFLA_IFNAME, name);
    std::optional<uint32_t> out;
    Ask(request, [&out](const NetlinkMessage& message) {
      ifinfomsg answer{};
      NetlinkAttributes attributes;
      if (message.type() == RTM_NEWLINK && message.Split(answer, attributes)) {
        out = static_cast<uint32_t>(answer.ifi_index);
      }
    });
    return out;
  }

  // No answer, or an error for one, leaves what the caller looks for unset.
  void Ask(const NetlinkRequest& request, const NetlinkSocket::OnMessage& on_message) {
    (void)socket_.Ask(request, on_message);
  }

  NetlinkSocket socket_;
};

}  // namespace

Result<std::unique_ptr<Resolver>> KernelResolver() {
  auto socket = NetlinkSocket::Open();
  if (!socket) return std::move(socket).error();
  return std::unique_ptr<Resolver>(std::make_unique<NetlinkResolver>(std::move(*socket)));
}

}  // namespace sallyport::endpoint

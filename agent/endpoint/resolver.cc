// SPDX-License-Identifier: Apache-2.0
#include "endpoint/resolver.h"

#include <fcntl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <functional>

#include "base/unique_fd.h"

namespace sallyport::endpoint {
namespace {

struct Free {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, Free>;
using OnAnswer = std::function<void(nlmsghdr*)>;

int Answer(nl_msg* message, void* context) {
  (*static_cast<const OnAnswer*>(context))(nlmsg_hdr(message));
  return NL_OK;
}

class NetlinkResolver : public Resolver {
 public:
  Status Open() {
    socket_.reset(nl_socket_alloc());
    if (!socket_) return ErrnoError("netlink socket", ENOMEM);
    nl_socket_disable_auto_ack(socket_.get());
    int code = nl_connect(socket_.get(), NETLINK_ROUTE);
    if (code < 0) return Error{std::string("netlink socket: ") + nl_geterror(code), EIO};
    return Ok();
  }

  std::optional<FarEnd> Find(const std::string& path, const std::string& name) override {
    if (path.empty() || name.empty()) return std::nullopt;
    // O_NONBLOCK: the path comes from a file and may name anything, a pipe included.
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
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
    Message message = Question(RTM_GETROUTE, &route, sizeof(route));
    size_t skip = address.IsV4() ? 12 : 0;
    nla_put(message.get(), RTA_DST, static_cast<int>(16 - skip), address.bytes().data() + skip);
    std::optional<uint32_t> out;
    Ask(message.get(), [&](nlmsghdr* header) {
      nlattr* attributes[RTA_MAX + 1] = {};
      if (nlmsg_parse(header, sizeof(rtmsg), attributes, RTA_MAX, nullptr) < 0) return;
      auto* info = static_cast<rtmsg*>(nlmsg_data(header));
      if (info->rtm_type != RTN_UNICAST || attributes[RTA_GATEWAY] || attributes[RTA_VIA]) return;
      if (attributes[RTA_OIF]) out = nla_get_u32(attributes[RTA_OIF]);
    });
    return out;
  }

 private:
  std::optional<int> NamespaceNumber(int fd) {
    rtgenmsg header{};
    Message message = Question(RTM_GETNSID, &header, sizeof(header));
    nla_put_u32(message.get(), NETNSA_FD, static_cast<uint32_t>(fd));
    std::optional<int> out;
    Ask(message.get(), [&](nlmsghdr* answer) {
      nlattr* attributes[NETNSA_MAX + 1] = {};
      if (nlmsg_parse(answer, sizeof(rtgenmsg), attributes, NETNSA_MAX, nullptr) < 0) return;
      if (attributes[NETNSA_NSID]) out = nla_get_s32(attributes[NETNSA_NSID]);
    });
    return out;
  }

  std::optional<uint32_t> InterfaceOf(int netns, const std::string& name) {
    ifinfomsg link{};
    Message message = Question(RTM_GETLINK, &link, sizeof(link));
    nla_put_s32(message.get(), IFLA_TARGET_NETNSID, netns);
    nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
    std::optional<uint32_t> out;
    Ask(message.get(), [&](nlmsghdr* answer) {
      auto* info = static_cast<ifinfomsg*>(nlmsg_data(answer));
      if (answer->nlmsg_type == RTM_NEWLINK) out = static_cast<uint32_t>(info->ifi_index);
    });
    return out;
  }

  static Message Question(int type, const void* header, size_t size) {
    Message message(nlmsg_alloc_simple(type, NLM_F_REQUEST));
    CHECK(message) << "out of memory";
    nlmsg_append(message.get(), const_cast<void*>(header), size, NLMSG_ALIGNTO);
    return message;
  }

  // No answer, or an error for one, leaves what the caller looks for unset.
  void Ask(nl_msg* message, const OnAnswer& on_answer) {
    nl_socket_modify_cb(socket_.get(), NL_CB_VALID, NL_CB_CUSTOM, Answer,
                        const_cast<OnAnswer*>(&on_answer));
    if (nl_send_auto(socket_.get(), message) >= 0) (void)nl_recvmsgs_default(socket_.get());
  }

  std::unique_ptr<nl_sock, Free> socket_;
};

}  // namespace

Result<std::unique_ptr<Resolver>> KernelResolver() {
  auto resolver = std::make_unique<NetlinkResolver>();
  if (Status status = resolver->Open(); !status) return std::move(status).error();
  return std::unique_ptr<Resolver>(std::move(resolver));
}

}  // namespace sallyport::endpoint

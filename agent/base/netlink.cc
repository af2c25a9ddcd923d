// SPDX-License-Identifier: Apache-2.0
#include "base/netlink.h"

#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace sallyport {
namespace {

// What the callbacks of one call share.
struct Call {
  const NetlinkSocket::OnMessage* on_message;
  int error = 0;  // the kernel's
};

int OnValid(nl_msg* message, void* call) {
  (*static_cast<Call*>(call)->on_message)(NetlinkMessage(nlmsg_hdr(message)));
  return NL_OK;
}

int OnError(sockaddr_nl*, nlmsgerr* error, void* call) {
  static_cast<Call*>(call)->error = -error->error;
  return NL_STOP;
}

void Prepare(nl_sock* socket, Call& call) {
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, OnValid, &call);
  nl_socket_modify_err_cb(socket, NL_CB_CUSTOM, OnError, &call);
}

Error LibraryError(int code, int number) {
  return Error{std::string("netlink: ") + nl_geterror(code), number};
}

struct FreeMessage {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};

}  // namespace

std::optional<std::string_view> NetlinkAttributes::Find(int type) const {
  std::string_view rest = bytes_;
  while (rest.size() >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, rest.data(), sizeof(header));
    if (header.nla_len < sizeof(nlattr) || header.nla_len > rest.size()) return std::nullopt;
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      return rest.substr(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
    }
    rest.remove_prefix(std::min<size_t>(NLA_ALIGN(header.nla_len), rest.size()));
  }
  return std::nullopt;
}

std::string NetlinkAttributes::Text(int type) const {
  std::string_view payload = Find(type).value_or(std::string_view());
  return std::string(payload.substr(0, payload.find('\0')));
}

NetlinkRequest& NetlinkRequest::Put(int attribute, const void* data, size_t size) {
  nlattr header{static_cast<uint16_t>(NLA_HDRLEN + size), static_cast<uint16_t>(attribute)};
  Append(&header, sizeof(header));
  Append(data, size);
  return *this;
}

void NetlinkRequest::Append(const void* data, size_t size) {
  payload_.append(static_cast<const char*>(data), size);
  payload_.resize(NLMSG_ALIGN(payload_.size()));
}

void NetlinkSocket::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<NetlinkSocket> NetlinkSocket::Open() {
  Socket socket(nl_socket_alloc());
  if (!socket) return ErrnoError("netlink socket", ENOMEM);
  nl_socket_disable_auto_ack(socket.get());
  if (int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0) return LibraryError(code, EIO);
  nl_socket_set_msg_buf_size(socket.get(), 1 << 16);
  return NetlinkSocket(std::move(socket));
}

Result<NetlinkSocket> NetlinkSocket::Subscribe(const std::vector<int>& groups, int room) {
  auto opened = Open();
  if (!opened) return opened;
  nl_sock* socket = opened->socket_.get();
  nl_socket_disable_seq_check(socket);
  nl_socket_set_nonblocking(socket);
  // Beyond the limit where that is allowed. With less, more is listed again.
  if (setsockopt(opened->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0) {
    (void)nl_socket_set_buffer_size(socket, room, 0);
  }
  for (int group : groups) {
    if (int code = nl_socket_add_membership(socket, group); code < 0)
      return LibraryError(code, EIO);
  }
  return opened;
}

int NetlinkSocket::fd() const { return nl_socket_get_fd(socket_.get()); }

Status NetlinkSocket::Ask(const NetlinkRequest& request, const OnMessage& on_message) {
  std::unique_ptr<nl_msg, FreeMessage> message(nlmsg_alloc_simple(request.type_, request.flags_));
  std::string payload = request.payload_;
  if (!message || nlmsg_append(message.get(), payload.data(), payload.size(), 0) < 0) {
    return ErrnoError("netlink message", ENOMEM);
  }
  Call call{.on_message = &on_message};
  Prepare(socket_.get(), call);
  int code = nl_send_auto(socket_.get(), message.get());
  if (code >= 0) code = nl_recvmsgs_default(socket_.get());
  if (call.error != 0) return ErrnoError("netlink", call.error);
  if (code < 0) return LibraryError(code, code == -NLE_DUMP_INTR ? EINTR : EIO);
  return Ok();
}

Status NetlinkSocket::Read(const OnMessage& on_message) {
  Call call{.on_message = &on_message};
  Prepare(socket_.get(), call);
  int code = 0;
  while ((code = nl_recvmsgs_default(socket_.get())) >= 0) {
  }
  if (code == -NLE_AGAIN) return Ok();
  // ENOBUFS reaches us as NLE_NOMEM: nothing else on a receiving socket does.
  return LibraryError(code, code == -NLE_NOMEM ? ENOBUFS : EIO);
}

}  // namespace sallyport

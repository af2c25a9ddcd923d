// SPDX-License-Identifier: Apache-2.0
// Route netlink: questions to the kernel about interfaces, addresses, routes and queueing
// disciplines, and its news of them. The header files of the kernel (linux/rtnetlink.h) name the
// messages; this carries them.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

struct nl_sock;

namespace sallyport {

// A run of attributes inside a message. Views: valid as long as the message.
class NetlinkAttributes {
 public:
  NetlinkAttributes() = default;
  explicit NetlinkAttributes(std::string_view bytes) : bytes_(bytes) {}

  // The payload of the first attribute of this type; nothing where there is none.
  std::optional<std::string_view> Find(int type) const;
  // The same as a number of exactly this width.
  template <typename Number>
  std::optional<Number> Get(int type) const {
    auto payload = Find(type);
    if (!payload || payload->size() != sizeof(Number)) return std::nullopt;
    return Read<Number>(*payload);
  }
  // As text, without the terminating zero; "" where there is none.
  std::string Text(int type) const;
  NetlinkAttributes Nested(int type) const {
    return NetlinkAttributes(Find(type).value_or(std::string_view()));
  }

 private:
  template <typename Number>
  static Number Read(std::string_view payload) {
    static_assert(std::is_trivially_copyable_v<Number>);
    Number out;
    __builtin_memcpy(&out, payload.data(), sizeof(out));
    return out;
  }
  std::string_view bytes_;
};

// A message from the kernel. Valid inside the call that hands it over.
class NetlinkMessage {
 public:
  explicit NetlinkMessage(const nlmsghdr* header) : header_(header) {}
  int type() const { return header_->nlmsg_type; }
  // The fixed part (ifinfomsg, rtmsg, ...) and the attributes after it; false where it is too
  // short.
  template <typename Fixed>
  bool Split(Fixed& fixed, NetlinkAttributes& attributes) const {
    std::string_view rest = Payload();
    size_t aligned = (sizeof(Fixed) + 3) & ~size_t{3};
    if (rest.size() < sizeof(Fixed)) return false;
    __builtin_memcpy(&fixed, rest.data(), sizeof(Fixed));
    attributes = NetlinkAttributes(rest.substr(std::min(aligned, rest.size())));
    return true;
  }

 private:
  std::string_view Payload() const {
    return {reinterpret_cast<const char*>(header_) + NLMSG_HDRLEN,
            header_->nlmsg_len - NLMSG_HDRLEN};
  }
  const nlmsghdr* header_;
};

// A message to the kernel.
class NetlinkRequest {
 public:
  template <typename Fixed>
  NetlinkRequest(int type, int flags, const Fixed& fixed) : type_(type), flags_(flags) {
    Append(&fixed, sizeof(fixed));
  }
  NetlinkRequest& Put(int attribute, const void* data, size_t size);
  NetlinkRequest& Put(int attribute, uint32_t number) {
    return Put(attribute, &number, sizeof(number));
  }
  NetlinkRequest& Put(int attribute, const std::string& text) {
    return Put(attribute, text.c_str(), text.size() + 1);
  }

 private:
  friend class NetlinkSocket;
  void Append(const void* data, size_t size);
  int type_, flags_;
  std::string payload_;
};

class NetlinkSocket {
 public:
  using OnMessage = std::function<void(const NetlinkMessage&)>;

  // In the network namespace of the calling thread.
  static Result<NetlinkSocket> Open();
  // The same, hearing of these groups (RTNLGRP_...) from now on, with room for so many bytes.
  static Result<NetlinkSocket> Subscribe(const std::vector<int>& groups, int room);

  // Readable when there is news.
  int fd() const;
  // One question, and all of its answer. The error's code is the kernel's; EINTR: what was listed
  // changed under way.
  Status Ask(const NetlinkRequest& request, const OnMessage& on_message);
  // All news that waits. ENOBUFS: some was lost.
  Status Read(const OnMessage& on_message);

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  using Socket = std::unique_ptr<nl_sock, Close>;
  explicit NetlinkSocket(Socket socket) : socket_(std::move(socket)) {}
  Socket socket_;
};

}  // namespace sallyport

// SPDX-License-Identifier: Apache-2.0
// An agent that answers once.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "support/temporary.h"

namespace sallyport::cli {

// Answers one connection on a Unix socket with a fixed text.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_.get(), 1), 0);
    thread_ = std::thread([this, answer] {
      UniqueFd client(accept(listener_.get(), nullptr, nullptr));
      char buffer[4096];
      ssize_t n = recv(client.get(), buffer, sizeof buffer, 0);
      if (n > 0) request_.assign(buffer, static_cast<size_t>(n));
      EXPECT_EQ(send(client.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(answer.size()));
    });
  }
  ~OneAnswer() {
    if (thread_.joinable()) thread_.join();
  }
  std::string Request() {
    thread_.join();
    return request_;
  }
  const std::string& path() const { return path_; }

 private:
  test::TemporaryDirectory directory_;
  std::string path_ = directory_ / "socket";
  UniqueFd listener_;
  std::string request_;
  std::thread thread_;
};

}  // namespace sallyport::cli

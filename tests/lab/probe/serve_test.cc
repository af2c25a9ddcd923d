// SPDX-License-Identifier: Apache-2.0
// The far end as its clients see it: real sockets in a network namespace.
#include "cli/serve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <memory>

#include "cli/sockets.h"
#include "lab/probe/two_namespaces.h"

namespace sallyport::probe {
namespace {

using net::Protocol;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr Port kServedTcp{Protocol::kTcp, 80}, kServedUdp{Protocol::kUdp, 81};

class ServeTest : public TwoNamespaces {
 protected:
  void SetUp() override {
    TwoNamespaces::SetUp();
    server_ =
        std::make_unique<RunningServer>(Path(far_), std::vector<Port>{kServedTcp, kServedUdp});
  }
  void TearDown() override {
    server_.reset();
    TwoNamespaces::TearDown();
  }

  // A blocking socket in the near namespace, connected to the server.
  UniqueFd Connect(const std::string& address, const Port& port) {
    net::Address to = *net::Address::Parse(address);
    int fd = -1;
    std::thread([&] {
      NetnsVisitor visitor;
      if (!visitor.Enter(Path(near_))) return;
      int type = port.protocol == Protocol::kUdp ? SOCK_DGRAM : SOCK_STREAM;
      UniqueFd opened(socket(to.IsV4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
      SocketAddress there = ToSocketAddress(to, port.number);
      if (connect(opened.get(), there.data(), there.length) == 0) fd = opened.release();
    }).join();
    EXPECT_GE(fd, 0);
    return UniqueFd(fd);
  }
  static void Send(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  static std::string Receive(const UniqueFd& fd, size_t at_least = 1) {
    std::string out;
    char buffer[65536];
    while (out.size() < at_least) {
      ssize_t n = recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) break;
      out.append(buffer, static_cast<size_t>(n));
    }
    return out;
  }

  std::unique_ptr<RunningServer> server_;
};

TEST_F(ServeTest, GreetsTheSilentThenEchoes) {
  UniqueFd client = Connect("10.77.0.2", kServedTcp);
  EXPECT_THAT(Receive(client), StartsWith("I am spt/far at 10.77.0.2:80/TCP; I see 10.77.0.1:"));
  Send(client, "hello");
  EXPECT_EQ(Receive(client), "hello");
  EXPECT_EQ(shutdown(client.get(), SHUT_WR), 0);
  EXPECT_EQ(Receive(client), "") << "it closes when the client does";
}

TEST_F(ServeTest, SpeaksHttp) {
  UniqueFd client = Connect("fd77::2", kServedTcp);
  Send(client, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
  std::string response = Receive(client, 1 << 20);
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(response, HasSubstr("\r\n\r\nI am spt/far at [fd77::2]:80/TCP; I see [fd77::1]:"));
}

TEST_F(ServeTest, EchoesMoreThanItsBuffersHold) {
  UniqueFd client = Connect("10.77.0.2", kServedTcp);
  std::string greeting = Receive(client);
  std::string sent(8 << 20, 'x');
  std::thread writer([&] {
    Send(client, sent);
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_EQ(Receive(client, sent.size()).size(), sent.size());
  writer.join();
}

TEST_F(ServeTest, AnswersDatagramsButNotItsOwnKind) {
  UniqueFd client = Connect("10.77.0.2", kServedUdp);
  Send(client, "I am another server");
  Send(client, "ping");
  std::string answer = Receive(client);
  EXPECT_THAT(answer, StartsWith("I am spt/far at 10.77.0.2:81/UDP; I see 10.77.0.1:"));
  EXPECT_THAT(answer, EndsWith("\nping")) << "the first one was not answered";
}

TEST_F(ServeTest, ManyClientsAtOnce) {
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(Connect("10.77.0.2", kServedTcp));
  for (const UniqueFd& client : clients) Send(client, "x");
  for (const UniqueFd& client : clients) EXPECT_THAT(Receive(client), StartsWith("I am spt/far"));
}

// With no file left it refuses whom it cannot serve, and goes on once others have left.
TEST_F(ServeTest, OutlivesRunningOutOfFiles) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Connect("10.77.0.2", kServedTcp));
  for (const UniqueFd& client : clients) EXPECT_THAT(Receive(client), StartsWith("I am"));
  UniqueFd late = Connect("10.77.0.2", kServedTcp);
  EXPECT_THAT(Receive(late), StartsWith("I am"));
  // Client and server share this process: the sockets that the test needs are made beforehand.
  UniqueFd unconnected;
  std::thread([&] {
    NetnsVisitor visitor;
    if (visitor.Enter(Path(near_))) unconnected.reset(socket(AF_INET, SOCK_STREAM, 0));
  }).join();
  ASSERT_TRUE(unconnected);
  rlimit none{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  SocketAddress there = ToSocketAddress(*net::Address::Parse("10.77.0.2"), 80);
  EXPECT_EQ(connect(unconnected.get(), there.data(), there.length), 0);
  Send(late, "still here");
  EXPECT_EQ(Receive(late), "still here");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  clients.clear();
  EXPECT_THAT(Receive(Connect("10.77.0.2", kServedTcp)), StartsWith("I am"));
}

}  // namespace
}  // namespace sallyport::probe

// SPDX-License-Identifier: Apache-2.0
// The agent is replaced while its pods talk: no packet is lost, and none passes that should not.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "lab/agent/agent_fixture.h"

namespace sallyport::test {
namespace {

using std::chrono::milliseconds;

constexpr uint16_t kTcpPort = 5002;
const net::Address kNode = *net::Address::Parse("169.254.1.1");  // as each pod sees it
// Longer than a busy machine lets anybody wait; what takes this long was lost.
constexpr int kLostAfter = 10'000;

sockaddr_in SocketAddress(const net::Address& address, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(address.v4());
  return out;
}

UniqueFd Connected(const net::Address& to, uint16_t port, int type) {
  UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_in address = SocketAddress(to, port);
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) fd.reset();
  return fd;
}

bool Readable(int fd, int milliseconds) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, milliseconds) == 1;
}

// One question and its answer.
bool Echoes(int fd) {
  char letter = 'a';
  if (send(fd, &letter, 1, MSG_NOSIGNAL) != 1) return false;
  return Readable(fd, kLostAfter) && recv(fd, &letter, 1, 0) == 1 && letter == 'a';
}

// Segments that TCP had to send again, without those that had arrived all the same (on a machine
// too busy to say so in time).
uint32_t SentAgain(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
  return info.tcpi_total_retrans - std::min(info.tcpi_total_retrans, info.tcpi_dsack_dups);
}

// What the kernel has dropped for want of room before anybody looked at it, on all processors.
uint64_t QueueDrops() {
  uint64_t out = 0;
  std::ifstream file("/proc/net/softnet_stat");
  for (std::string line, handled, dropped; std::getline(file, line);) {
    std::istringstream words(line);
    words >> handled >> dropped;
    out += std::stoull(dropped, nullptr, 16);
  }
  return out;
}

struct Counts {
  std::atomic<uint64_t> asked = 0, unanswered = 0, sent_again = 0, denied = 0, wrongly_passed = 0;
};

// Answers at a pod what `friend` asks; what anybody else says there should not have arrived.
class Server {
 public:
  Server(const Pod& pod, const net::Address& guest, Counts& counts)
      : guest_(htonl(guest.v4())), counts_(counts), udp_(pod.UdpSocket(pod.v4(), kPort)) {
    pod.Inside([&] {
      tcp_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address = SocketAddress(pod.v4(), kTcpPort);
      ASSERT_EQ(bind(tcp_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
      ASSERT_EQ(listen(tcp_.get(), 100), 0);
    });
    thread_ = std::jthread([this](const std::stop_token& stop) { Serve(stop); });
  }

 private:
  void Serve(const std::stop_token& stop) {
    std::vector<pollfd> all{{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
    std::vector<UniqueFd> open;
    while (!stop.stop_requested()) {
      if (poll(all.data(), all.size(), 20) < 1) continue;
      if (all[0].revents) AnswerDatagram();
      for (size_t i = all.size(); i-- > 2;) {
        char letter;
        if (!all[i].revents) continue;
        if (recv(all[i].fd, &letter, 1, 0) == 1) {
          (void)send(all[i].fd, &letter, 1, MSG_NOSIGNAL);
          continue;
        }
        open.erase(open.begin() + static_cast<long>(i) - 2);
        all.erase(all.begin() + static_cast<long>(i));
      }
      if (!all[1].revents) continue;
      sockaddr_in from{};
      socklen_t size = sizeof(from);
      open.emplace_back(
          accept4(tcp_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
      all.push_back({open.back().get(), POLLIN, 0});
      if (from.sin_addr.s_addr != guest_) ++counts_.wrongly_passed;
    }
  }
  void AnswerDatagram() {
    char letter;
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    auto* address = reinterpret_cast<sockaddr*>(&from);
    if (recvfrom(udp_.get(), &letter, 1, 0, address, &size) != 1) return;
    if (from.sin_addr.s_addr != guest_) ++counts_.wrongly_passed;
    (void)sendto(udp_.get(), &letter, 1, 0, address, size);
  }

  const in_addr_t guest_;
  Counts& counts_;
  UniqueFd udp_, tcp_;
  std::jthread thread_;
};

// Asks all the time: over two connections that stay, and over new ones.
void Ask(const Pod& from, const Pod& to, const std::stop_token& stop, Counts& counts) {
  from.Inside([&] {
    auto ask = [&](const UniqueFd& fd) {
      ++counts.asked;
      if (!fd || !Echoes(fd.get())) ++counts.unanswered;
    };
    UniqueFd stream = Connected(to.v4(), kTcpPort, SOCK_STREAM);
    UniqueFd datagrams = Connected(to.v4(), kPort, SOCK_DGRAM);
    while (!stop.stop_requested()) {
      for (int i = 0; i < 50; ++i) {
        ask(stream);
        ask(datagrams);
      }
      ask(Connected(to.v4(), kPort, SOCK_DGRAM));
      UniqueFd fresh = Connected(to.v4(), kTcpPort, SOCK_STREAM);
      ask(fresh);
      counts.sent_again += SentAgain(fresh.get());
      linger reset{1, 0};  // leaves no port behind that waits
      setsockopt(fresh.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    counts.sent_again += SentAgain(stream.get());
  });
}

// Tries all the time what nobody allows.
void Intrude(const Pod& from, const Pod& to, const std::stop_token& stop, Counts& counts) {
  from.Inside([&] {
    UniqueFd same = Connected(to.v4(), kPort, SOCK_DGRAM);
    while (!stop.stop_requested()) {
      for (int i = 0; i < 20; ++i, ++counts.denied) (void)send(same.get(), "x", 1, MSG_NOSIGNAL);
      UniqueFd fresh = Connected(to.v4(), kPort, SOCK_DGRAM);
      (void)send(fresh.get(), "x", 1, MSG_NOSIGNAL);
      (void)Connected(to.v4(), kTcpPort, SOCK_STREAM | SOCK_NONBLOCK);
      counts.denied += 2;
      // Leaves the processor to the others, and does not fill the kernel's queue, which drops what
      // it has no room for: what was sent before has been looked at when the node refuses this.
      (void)Connected(kNode, kPort, SOCK_STREAM);
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
}

class ReplacedTest : public AgentTest, public testing::WithParamInterface<const char*> {
 protected:
  using Agent = std::unique_ptr<AgentProcess>;

  Agent Start(std::vector<std::string> flags = {}) {
    flags.push_back(std::string("--attach=") + GetParam());
    flags.push_back("--max-flows=200000");  // a's share lasts, however long this takes
    return std::make_unique<AgentProcess>(files_, flags);
  }
  // As in a rolling update, the new one starts first.
  void TakeOver(Agent& agent, int signal) {
    size_t logged = agent->Log().size();
    Agent next = Start({"--stand-by"});
    EXPECT_TRUE(Becomes(files_, "/v1/status", [&](const model::Value&) {
      return next->Log().find("standing by", logged) != std::string::npos;
    }));
    agent->End(signal);
    agent = std::move(next);
    EXPECT_TRUE(Ready(files_));
  }
  // Nobody is there for a moment.
  void StartAgain(Agent& agent, int signal) {
    agent->End(signal);
    agent = Start();
    EXPECT_TRUE(Ready(files_));
  }
  // For somebody else: both halves of the tables come into force.
  void ChangePolicy() {
    files_.WritePolicy("c");
    EXPECT_TRUE(HasPolicies(files_, "shop/b shop/c"));
    files_.RemoveManifest("policy-c.yaml");
    EXPECT_TRUE(HasPolicies(files_, "shop/b"));
  }
  // The newer one's tables stay as they are, and in force.
  void FailToGoBack() {
    files_.Use(AgentVersion::kThis);
    Agent older = Start();
    EXPECT_GT(older->Wait(), 0);
    EXPECT_THAT(older->Log(), testing::HasSubstr("of a newer sallyportd"));
    files_.Use(AgentVersion::kNext);
  }
  void UnderLoad(const std::string& what, const std::function<void(Agent&)>& replace);
};

INSTANTIATE_TEST_SUITE_P(, ReplacedTest, testing::Values("tcx", "clsact"),
                         [](const auto& info) { return std::string(info.param); });

// a may ask b, c may not; both do all the time.
void ReplacedTest::UnderLoad(const std::string& what, const std::function<void(Agent&)>& replace) {
  Pod c(3);
  WritePod("c", c);
  Claim("c", c);
  files_.WritePolicy("b", "{from: [{podSelector: {matchLabels: {app: a}}}]}");
  Agent agent = Start();
  OpenBoth();
  ASSERT_TRUE(HasEndpoint(files_, "shop/c", "open", c.device()));
  ASSERT_TRUE(HasPolicies(files_, "shop/b"));
  ASSERT_TRUE(Ready(files_));
  Counts counts;
  uint64_t dropped = QueueDrops();
  Server server(b_, a_.v4(), counts);
  std::jthread guest([&](const std::stop_token& stop) { Ask(a_, b_, stop, counts); });
  std::jthread intruder([&](const std::stop_token& stop) { Intrude(c, b_, stop, counts); });
  replace(agent);
  guest = {};
  intruder = {};
  std::printf("%s, %s: asked %lu, lost %lu; denied %lu, wrongly passed %lu\n", GetParam(),
              what.c_str(), counts.asked.load(), counts.unanswered + counts.sent_again,
              counts.denied.load(), counts.wrongly_passed.load());
  EXPECT_GT(counts.asked, 1000u);
  EXPECT_GT(counts.denied, 1000u);
  EXPECT_EQ(counts.unanswered, 0u) << "dropped by the kernel's queue: " << QueueDrops() - dropped;
  EXPECT_EQ(counts.sent_again, 0u);
  EXPECT_EQ(counts.wrongly_passed, 0u);
}

TEST_P(ReplacedTest, IsFeltByNoPacket) {
  UnderLoad("agent replaced 4 times", [&](Agent& agent) {
    for (int signal : {SIGTERM, SIGKILL}) {
      TakeOver(agent, signal);
      ChangePolicy();
      StartAgain(agent, signal);
      ChangePolicy();
    }
  });
}

TEST_P(ReplacedTest, ByANewerVersionIsFeltByNoPacket) {
  UnderLoad("by a newer version, which stood by", [&](Agent& agent) {
    files_.Use(AgentVersion::kNext);
    TakeOver(agent, SIGTERM);
    ChangePolicy();
    agent->End(SIGKILL);
    FailToGoBack();
    agent = Start();
    EXPECT_TRUE(Ready(files_));
    ChangePolicy();
  });
}

TEST_P(ReplacedTest, ByANewerVersionAfterAKillIsFeltByNoPacket) {
  UnderLoad("by a newer version, after a kill", [&](Agent& agent) {
    files_.Use(AgentVersion::kNext);
    StartAgain(agent, SIGKILL);
    ChangePolicy();
  });
}

}  // namespace
}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
// A table of flows that somebody fills, from inside a pod and from outside: others' connections
// feel nothing, and new ones are made.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "bpf/traffic/traffic.h"

namespace sallyport::test {
namespace {

constexpr uint32_t kBuckets = 16;  // of 15 flows
constexpr int kRounds = 8, kAtOnce = 60;

class FloodTest : public TrafficTest {
 protected:
  FloodTest() : TrafficTest({.endpoints = 4096, .flow_buckets = kBuckets}) {}

  // A connection that stays.
  class Talk {
   public:
    Talk(UniqueFd client, const UniqueFd& listener) : client_(std::move(client)) {
      pollfd wait = {.fd = listener.get(), .events = POLLIN, .revents = 0};
      EXPECT_EQ(::poll(&wait, 1, kPatience), 1);
      server_ = UniqueFd(::accept(listener.get(), nullptr, nullptr));
    }
    // Both ways, and nothing had to be sent again.
    bool Carries() const {
      return Sends(client_, server_) && Sends(server_, client_) && SentAgain(client_) == 0 &&
             SentAgain(server_) == 0;
    }

   private:
    static constexpr int kPatience = 10'000;
    static bool Sends(const UniqueFd& from, const UniqueFd& to) {
      char letter = 'x';
      if (::send(from.get(), &letter, 1, MSG_NOSIGNAL) != 1) return false;
      pollfd wait = {.fd = to.get(), .events = POLLIN, .revents = 0};
      return ::poll(&wait, 1, kPatience) == 1 && ::recv(to.get(), &letter, 1, 0) == 1;
    }
    static uint32_t SentAgain(const UniqueFd& fd) {
      tcp_info info{};
      socklen_t size = sizeof info;
      ::getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &size);
      return info.tcpi_total_retrans;
    }
    UniqueFd client_, server_;
  };

  Packet Between(const net::Address& from, const net::Address& to, const Packet& transport) const {
    if (v6()) return IPv6{.src = from, .dst = to} / transport;
    return IPv4{.src = from, .dst = to} / transport;
  }
  net::Address Stranger(int i) const {
    std::string number = std::to_string(1 + i % 250);
    return Ip(((v6() ? "2001:db8::" : "192.0.2.") + number).c_str());
  }
  static uint16_t Port(int i) { return static_cast<uint16_t>(10000 + i * 7); }

  // While frames come: what is connected carries on, and who else asks is let in.
  template <typename Frame>
  void Flood(const Place& from, Frame frame) {
    UniqueFd at_outside = Listen(In(outside), SOCK_STREAM, 80);
    UniqueFd at_db = Listen(In(db), SOCK_STREAM, 80);
    Talk of_web(Connected(In(web), Of(outside), 80), at_outside);
    Talk of_db(Connected(In(db), Of(outside), 80), at_outside);
    Talk to_db(Connected(In(outside), Of(db), 80), at_db);
    auto all_is_well = [&] {
      EXPECT_TRUE(of_web.Carries());
      EXPECT_TRUE(of_db.Carries());
      EXPECT_TRUE(to_db.Carries());
      for (const Pod* pod : {&web, &db}) {
        EXPECT_EQ(Connect(In(*pod), Of(outside), 80), "open");
        UniqueFd(::accept(at_outside.get(), nullptr, nullptr));
      }
    };
    all_is_well();
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
      std::vector<Bytes> frames;
      for (int i = 0; i < kAtOnce; ++i) frames.push_back(frame(round * kAtOnce + i).bytes());
      SendFrames(from, frames);
      all_is_well();
    }
    // More than the table has places for, and no more than there are.
    EXPECT_GT(k.Flows().size(), kBuckets * SP_FLOW_WAYS / 4);
    k.Age(SP_LIFE_SYN + 2);
    all_is_well();
  }
};
INSTANTIATE_TEST_SUITE_P(, FloodTest, testing::Values(4, 6), FamilyName);

TEST_P(FloodTest, OpeningsFromAPod) {
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kOpen, .ingress = kOpen});
  Flood(In(web),
        [&](int i) { return ToNode(web) / Between(Of(web), Stranger(i), TCP{.sport = Port(i)}); });
}

TEST_P(FloodTest, OpeningsFromOutside) {
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kOpen, .ingress = kOpen});
  Flood(In(outside), [&](int i) {
    return ToNode(outside) / Between(Stranger(i), Of(db), TCP{.sport = Port(i)});
  });
}

TEST_P(FloodTest, DatagramsFromAPod) {
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kOpen, .ingress = kOpen});
  Flood(In(web), [&](int i) {
    return ToNode(web) / Between(Of(web), Stranger(i), UDP{.sport = 53, .dport = Port(i)});
  });
}

TEST_P(FloodTest, DatagramsFromOutside) {
  Enforce({.egress = kOpen, .ingress = kNothing}, {.egress = kOpen, .ingress = kOpen});
  Flood(In(outside), [&](int i) {
    return ToNode(outside) / Between(Stranger(i), Of(db), UDP{.sport = 53, .dport = Port(i)});
  });
}

}  // namespace
}  // namespace sallyport::test

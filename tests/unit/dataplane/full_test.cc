// SPDX-License-Identifier: Apache-2.0
// Tables that are too small for an image: what finds no room is denied, the rest is in force, and
// when there is room, so is everything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/encoder.h"
#include "unit/dataplane/images.h"

namespace sallyport::dataplane {
namespace {

using policy::Image;
using test::Answer;
using test::ExpectOk;
using test::HeapTables;
using test::Judgement;
using test::Question;
using test::TableTwin;
using test::Watching;

constexpr uint32_t kFriend = 1, kStranger = 2, kBlock = 3;  // identities
constexpr policy::PortSetId kWebPorts = 2;

net::Address At(const char* text) { return *net::Address::Parse(text); }
model::ObjectName Pod(uint32_t n) { return {"ns", "pod" + std::to_string(n)}; }
policy::PortSet Tcp(uint16_t port) { return {.tcp = {{port, port}}, .udp = {}, .sctp = {}}; }

class FullTables : public ::testing::Test {
 protected:
  // Pod 1 may talk to the friend and to a block but for a hole, pod 2 to everybody.
  FullTables() {
    image_.peers[At("10.0.0.1")] = kFriend;
    image_.peers[At("10.0.0.2")] = kStranger;
    image_.prefixes[*net::Cidr::Parse("192.0.2.0/24")] = kBlock;
    image_.prefixes[*net::Cidr::Parse("192.0.2.128/25")] = 0;
    image_.port_sets[kWebPorts] = Tcp(80);
    image_.sets[1] = {.rules = {{kFriend, kWebPorts}, {kBlock, kWebPorts}},
                      .any = policy::kNoPorts};
    AddPod(1, 1);
    AddPod(2, policy::kNoSet);
  }

  void AddPod(uint32_t n, policy::SetId egress) {
    image_.endpoints[Pod(n)] = {{}, egress, policy::kNoSet};
    bindings_[Pod(n)] = {100 + n, {net::Address::V4(0x0a010000 + n)}, false};
  }
  void Start(const HeapTables::Sizes& sizes) {
    memory_ = std::make_unique<HeapTables>(sizes);
    Restart();
  }
  void Restart() {
    encoder_ = std::make_unique<Encoder>(memory_->tables(), Watching([this] {
                                           if (check_) check_();
                                         }));
    ExpectOk(encoder_->Adopt());
  }
  void Apply() { ExpectOk(encoder_->Apply(image_, nullptr, bindings_)); }

  std::vector<Question> Questions() const {
    std::vector<Question> out;
    for (const auto& [name, binding] : bindings_)
      for (const char* peer : {"10.0.0.1", "10.0.0.2", "192.0.2.1", "192.0.2.200", "10.9.9.9",
                               "198.51.100.7", "10.0.1.7"})
        for (int port : {80, 81, 5000})
          out.push_back({name, binding.ifindex, SP_EGRESS, At(peer), net::Protocol::kTcp,
                         static_cast<uint16_t>(port)});
    return out;
  }
  Judgement Judge(const Question& q) {
    TableTwin twin(memory_->tables());
    return twin.Judge(twin.Generation(), q.ifindex, q.direction, q.peer, q.protocol, q.port);
  }
  bool Passes(uint32_t pod, const char* peer, uint16_t port = 80) {
    return Judge({Pod(pod), 100 + pod, SP_EGRESS, At(peer), net::Protocol::kTcp, port}) ==
           Judgement::kAllowed;
  }
  // Nothing passes that the image denies.
  void ExpectNarrower() {
    for (const Question& q : Questions())
      if (Judge(q) == Judgement::kAllowed)
        EXPECT_EQ(Answer(image_, bindings_, q), Judgement::kAllowed) << q.ToString();
  }
  void ExpectExact() {
    for (const Question& q : Questions())
      EXPECT_EQ(Judge(q), Answer(image_, bindings_, q)) << q.ToString();
  }
  std::vector<std::string> Short() {
    std::vector<std::string> out;
    for (const Shortfall& shortfall : encoder_->shortfalls()) out.push_back(shortfall.use.name);
    return out;
  }
  std::vector<uint64_t> Used() {
    std::vector<uint64_t> out;
    for (const TableUse& use : encoder_->Use()) out.push_back(use.used);
    return out;
  }

  Image image_;
  Bindings bindings_;
  std::unique_ptr<HeapTables> memory_;
  std::unique_ptr<Encoder> encoder_;
  std::function<void()> check_;
};

// More of one table than it can hold.
void Overflow(const std::string& table, Image& image, Bindings& bindings) {
  policy::PolicySet big{.rules = {}, .any = policy::kNoPorts};
  for (uint32_t i = 0; i < 100; ++i) {
    auto port = static_cast<uint16_t>(5000 + (table == "port_pages" ? i * 600 : i));
    if (table == "endpoints") {
      image.endpoints[Pod(10 + i)] = {};
      bindings[Pod(10 + i)] = {110 + i, {}, false};
    } else if (table == "peers") {
      image.peers[net::Address::V4(0x0a000100 + i)] = kFriend;
    } else if (table == "prefixes") {
      image.prefixes[net::Cidr(net::Address::V4(0xc6000000 + (i << 14) + i * 37), 32)] = kBlock;
    } else {
      big.rules[100 + i] = table == "rules" ? policy::kAllPorts : 10 + i;
      if (table != "rules") image.port_sets[10 + i] = Tcp(port);
    }
  }
  if (!big.rules.empty()) {
    image.peers[At("10.9.9.9")] = 199;  // the last of its rules
    image.sets[9] = big;
    image.endpoints[Pod(9)] = {{}, 9, policy::kNoSet};
    bindings[Pod(9)] = {109, {}, false};
  }
}

// At no store passes what neither the image before nor the one after allows.
TEST_F(FullTables, WhatDoesNotFitIsDeniedAndNothingElse) {
  const std::map<std::string, HeapTables::Sizes> tiny = {
      {"endpoints", {.endpoints = 16}},  {"peers", {.peer_buckets = 4}},
      {"rules", {.rule_buckets = 4}},    {"port_sets", {.port_sets = 8}},
      {"port_pages", {.port_pages = 8}}, {"prefixes", {.prefixes = 40}}};
  for (const auto& [table, sizes] : tiny) {
    SCOPED_TRACE(table);
    Image small = image_;
    Bindings small_bindings = bindings_;
    Start(sizes);
    Apply();
    ExpectOk(encoder_->Settle());
    ASSERT_EQ(Short(), std::vector<std::string>());
    auto used = Used();
    ASSERT_TRUE(Passes(1, "10.0.0.1") && Passes(2, "10.0.0.2"));

    Overflow(table, image_, bindings_);
    image_.sets[2] = {.rules = {}, .any = policy::kNoPorts};
    image_.endpoints[Pod(2)].egress = 2;  // a policy that denies
    std::vector<Question> neither;
    for (const Question& q : Questions())
      if (Answer(small, small_bindings, q) != Judgement::kAllowed &&
          Answer(image_, bindings_, q) != Judgement::kAllowed)
        neither.push_back(q);
    check_ = [&] {
      for (const Question& q : neither) ASSERT_NE(Judge(q), Judgement::kAllowed) << q.ToString();
    };
    Apply();
    EXPECT_EQ(Short(), std::vector<std::string>{table});
    for (const TableUse& use : encoder_->Use()) EXPECT_LE(use.used, use.capacity) << use.name;
    EXPECT_FALSE(Passes(2, "10.0.0.2")) << "the new policy is in force";
    EXPECT_TRUE(Passes(1, "10.0.0.1") && Passes(1, "192.0.2.1")) << "what stays is not touched";
    ExpectNarrower();
    uint32_t generation = encoder_->generation();
    Apply();
    EXPECT_EQ(encoder_->generation(), generation) << "trying again changes nothing";
    check_ = nullptr;

    image_ = small;
    bindings_ = small_bindings;
    Apply();
    EXPECT_EQ(Short(), std::vector<std::string>());
    ExpectExact();
    ExpectOk(encoder_->Settle());
    EXPECT_EQ(Used(), used);
  }
}

// Part of it goes, and the rest has room.
TEST_F(FullTables, RoomThatReturnsHeals) {
  Start({.rule_buckets = 8});
  Overflow("rules", image_, bindings_);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"rules"});
  EXPECT_FALSE(Passes(9, "10.9.9.9"));
  for (uint32_t i = 0; i < 99; ++i) image_.sets[9].rules.erase(100 + i);
  uint32_t filled = 0;
  check_ = [&] {
    if (filled == 0 && Passes(9, "10.9.9.9")) filled = encoder_->generation();
  };
  Apply();
  EXPECT_GT(encoder_->generation(), filled) << "what was cut meanwhile is judged again";
  EXPECT_NE(filled, 0u);
  EXPECT_EQ(Short(), std::vector<std::string>());
  EXPECT_TRUE(Passes(9, "10.9.9.9"));
  ExpectExact();
}

// The former policy goes only when the next is in force: so what had no room beside it has then.
TEST_F(FullTables, ARestartAtThreeQuartersArrives) {
  Start({.rule_buckets = 64, .prefixes = 64});
  auto fill = [&](uint32_t first) {
    policy::PolicySet many{.rules = {}, .any = policy::kNoPorts};
    for (uint32_t i = 0; i < 190; ++i) many.rules[first + i] = kWebPorts;
    image_.sets[9] = many;
    image_.endpoints[Pod(9)] = {{}, 9, policy::kNoSet};
    bindings_[Pod(9)] = {109, {}, false};
    image_.peers[At("10.9.9.9")] = first;
    image_.prefixes.clear();
    for (uint32_t i = 0; i < 36; ++i)
      image_.prefixes[net::Cidr(net::Address::V4(0xc6330000 + (i << 8)), 26)] = first + i;
  };
  fill(100);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>());
  for (const TableUse& use : encoder_->Use())
    if (use.name == "rules" || use.name == "prefixes") EXPECT_GT(use.used * 4, use.capacity * 2);
  Restart();
  fill(1000);
  Apply();
  EXPECT_EQ(Short(), std::vector<std::string>());
  ExpectExact();
  EXPECT_TRUE(Passes(9, "10.9.9.9"));
}

// Without one a set denies everything: they come first, and find some places kept for them.
TEST_F(FullTables, AnyPeerRulesHaveRoom) {
  Start({.rule_buckets = 4});
  auto add = [&](uint32_t n) {
    image_.sets[n] = {.rules = {{kFriend, 5}, {kStranger, 5}, {kBlock, 5}}, .any = kWebPorts};
    AddPod(n, n);
  };
  image_.port_sets[5] = {.tcp = {{80, 81}}, .udp = {}, .sctp = {}};
  for (uint32_t n = 20; n < 33; ++n) add(n);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"rules"});
  for (uint32_t n = 20; n < 33; ++n) EXPECT_TRUE(Passes(n, "10.9.9.9")) << n;
  for (uint32_t n = 20; n < 33; ++n) image_.endpoints.erase(Pod(n)), image_.sets.erase(n);
  Overflow("rules", image_, bindings_);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"rules"});
  add(40);
  Apply();
  EXPECT_TRUE(Passes(40, "10.9.9.9"));
}

TEST_F(FullTables, NothingIsLeftOfWhatFoundNoPlace) {
  Start({.rule_buckets = 4, .port_sets = 256, .port_pages = 256});
  Apply();
  ExpectOk(encoder_->Settle());
  auto used = Used();
  Image small = image_;
  Bindings small_bindings = bindings_;
  Overflow("port_sets", image_, bindings_);
  for (int tries = 0; tries < 3; ++tries) Apply();
  EXPECT_EQ(Short(), std::vector<std::string>{"rules"});
  image_ = small;
  bindings_ = small_bindings;
  Apply();
  ExpectOk(encoder_->Settle());
  EXPECT_EQ(Used(), used);
}

TEST_F(FullTables, AGiantSetIsItsOwnVictim) {
  policy::PolicySet giant{.rules = {}, .any = policy::kNoPorts};
  for (uint32_t i = 0; i < 300; ++i) giant.rules[100 + i] = 100 + i;
  for (uint32_t i = 0; i < 300; ++i)
    image_.port_sets[100 + i] = Tcp(static_cast<uint16_t>(5000 + i));
  image_.sets[0x10] = giant;
  AddPod(16, 0x10);
  for (uint32_t n = 20; n < 30; ++n) {
    image_.sets[n] = {.rules = {{kFriend, 50 + n}}, .any = kWebPorts};
    image_.port_sets[50 + n] = {
        .tcp = {{80, 80}, {static_cast<uint16_t>(n), static_cast<uint16_t>(n)}},
        .udp = {},
        .sctp = {}};
    std::sort(image_.port_sets[50 + n].tcp.begin(), image_.port_sets[50 + n].tcp.end());
    AddPod(n, n);
  }
  Start({.rule_buckets = 16, .port_sets = 32});
  Apply();
  EXPECT_FALSE(Short().empty());
  for (const Question& q : Questions())
    if (q.pod != Pod(16)) EXPECT_EQ(Judge(q), Answer(image_, bindings_, q)) << q.ToString();
  EXPECT_TRUE(Passes(20, "10.0.0.1", 20) && Passes(29, "10.0.0.1", 29));
}

TEST_F(FullTables, AReusedAddressNeverKeepsAnIdentityWhileFull) {
  Start({.peer_buckets = 4});
  Overflow("peers", image_, bindings_);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"peers"});
  const TableUse& use = encoder_->shortfalls()[0].use;
  EXPECT_LE(use.used, use.capacity - use.capacity / 16) << "pods leave some places to others";
  for (const char* address : {"10.0.0.1", "10.0.1.7"}) {
    image_.peers[At(address)] = kStranger;
    Apply();
    EXPECT_FALSE(Passes(1, address)) << address;
    ExpectNarrower();
  }
}

// Without its place a node would be an address like any, and so would a Service.
TEST_F(FullTables, WhatMustBeKnownTakesThePlaceOfPods) {
  Start({.peer_buckets = 4});
  Overflow("peers", image_, bindings_);
  Apply();
  image_.other_nodes.insert(At("10.5.5.5"));
  image_.service_addresses.insert(At("10.96.0.1"));
  image_.peers[At("10.6.6.6")] = kBlock;
  image_.shared_nodes.insert(At("10.6.6.6"));
  bool known = false;
  TableTwin twin(memory_->tables());
  check_ = [&] {
    uint32_t half = twin.Generation() & 1;
    known = twin.FindPeer(At("10.5.5.5"), half).is_other_node &&
            twin.FindPeer(At("10.96.0.1"), half).is_service &&
            twin.FindPeer(At("10.6.6.6"), half).identity == kBlock;
    if (twin.Generation() != 1 && !known) ASSERT_FALSE(Passes(2, "10.0.0.2"));
  };
  Apply();
  EXPECT_TRUE(known);
  EXPECT_TRUE(Passes(2, "10.0.0.2"));
  EXPECT_EQ(Short(), std::vector<std::string>{"peers"});
  EXPECT_FALSE(encoder_->shortfalls()[0].denies_all);
  // None takes another's.
  auto services = [&] {
    std::set<net::Address> out;
    for (const net::Address& address : image_.service_addresses)
      if (twin.FindPeer(address, twin.Generation() & 1).is_service) out.insert(address);
    return out;
  };
  for (uint32_t i = 0; i < 8; ++i) {
    std::set<net::Address> before = services();
    image_.service_addresses.insert(net::Address::V4(0x0a600010 + i));
    Apply();
    EXPECT_THAT(services(), testing::IsSupersetOf(before)) << i;
    EXPECT_TRUE(known) << i;
  }
  for (uint32_t i = 0; i < 40; ++i) image_.other_nodes.insert(net::Address::V4(0x0a050000 + i));
  check_ = nullptr;
  Apply();
  EXPECT_TRUE(encoder_->shortfalls()[0].denies_all);
  EXPECT_FALSE(Passes(1, "10.0.0.1") || Passes(2, "10.0.0.2"));
}

TEST_F(FullTables, AChangeFarDownTakesNothingAboveAlong) {
  Start({.prefixes = 64});
  Overflow("prefixes", image_, bindings_);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"prefixes"});
  ASSERT_TRUE(Passes(1, "192.0.2.1"));
  check_ = [&] { ASSERT_TRUE(Passes(1, "192.0.2.1")); };
  for (auto& [prefix, identity] : image_.prefixes) {
    if (prefix.length() < 32) continue;
    identity = kFriend;
    Apply();
  }
}

TEST_F(FullTables, ASetWhosePortsFindNoRoomHasItsOwnReason) {
  image_.sets[8] = {.rules = {}, .any = kWebPorts};
  AddPod(8, 8);
  Start({.port_sets = 2});
  Apply();
  TableTwin twin(memory_->tables());
  uint32_t number = twin.FindEndpoint(108)->set[twin.Generation() & 1][SP_EGRESS];
  EXPECT_EQ(number, SP_SET_FULL) << "else it would cut what lives";
  EXPECT_FALSE(Passes(8, "10.9.9.9"));
}

// Its address could be another's, for all that the programs know.
TEST_F(FullTables, AnEndpointWhoseAddressHasNoPlaceStaysClosed) {
  Start({.peer_buckets = 1});
  for (uint32_t n = 3; n < 9; ++n) AddPod(n, policy::kNoSet);
  Apply();
  ASSERT_EQ(Short(), std::vector<std::string>{"peers"});
  const Shortfall& shortfall = encoder_->shortfalls()[0];
  EXPECT_EQ(shortfall.closed.size(), 4u);
  for (const auto& [name, binding] : bindings_) {
    const sp_endpoint* e = TableTwin(memory_->tables()).FindEndpoint(binding.ifindex);
    EXPECT_EQ(e == nullptr, shortfall.closed.contains(name)) << name.ToString();
  }
}

// What other nodes' NodePorts lead to may be less than anybody is allowed.
TEST_F(FullTables, NoRuleThatNarrowsIsLeftOut) {
  image_.port_sets[5] = {.tcp = {{0, 79}, {81, 65535}}, .udp = {}, .sctp = {}};
  image_.port_sets[6] = {.tcp = {{0, 65535}}, .udp = {}, .sctp = {}};
  image_.sets[7] = {.rules = {{kStranger, 5}}, .any = 6};
  AddPod(7, 7);
  for (uint32_t sets = 3; sets < 8; ++sets) {
    SCOPED_TRACE(sets);
    Start({.port_sets = sets});
    Apply();
    ExpectNarrower();
    EXPECT_FALSE(Passes(7, "10.0.0.2", 80));
    EXPECT_EQ(Passes(7, "10.9.9.9", 80), sets > 3);
    TableTwin twin(memory_->tables());
    uint32_t number = twin.FindEndpoint(107)->set[twin.Generation() & 1][SP_EGRESS];
    EXPECT_EQ(number == SP_SET_FULL, sets == 3) << "else it would cut what lives";
  }
  // Nor where it is the last of too many.
  image_.peers[At("10.0.0.2")] = 900;
  image_.sets[7].rules = {{900, 5}};
  for (uint32_t i = 0; i < 100; ++i) image_.sets[7].rules[100 + i] = policy::kAllPorts;
  Start({.rule_buckets = 4});
  Apply();
  EXPECT_EQ(Short(), std::vector<std::string>{"rules"});
  ExpectNarrower();
  EXPECT_FALSE(Passes(7, "10.0.0.2", 80));
}

}  // namespace
}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// The tables of egress IPs in plain memory: what they say after each state, and at every store.
#include "dataplane/egress_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>

#include "dataplane/tables.h"

namespace sallyport::dataplane {
namespace {

using testing::ElementsAre;
using testing::Pair;

net::Address A(const char* text) { return net::Address::Parse(text).value(); }

class EgressTablesTest : public testing::Test {
 protected:
  std::unique_ptr<EgressTables> Open() {
    return std::make_unique<EgressTables>(
        EgressTables::Memory{ips_, blocks_, owners_, nodes_, &tunnel_},
        [this](const sp_address& address, std::optional<uint32_t> what) -> Status {
          if (fail_) return Error{"the map is full"};
          if (what) outside_[FromAbi(address)] = *what;
          if (!what) outside_.erase(FromAbi(address));
          return Ok();
        },
        Pen([this] {
          if (after_store_) after_store_();
        }));
  }
  static EgressState Whole() {
    EgressState s;
    s.self = "n1";
    s.tunnel = {9, 7, 1450, 4790, 4791};
    s.nodes = {{"n1", A("172.30.0.1")}, {"n2", A("172.30.0.2")}, {"n3", A("172.30.0.3")}};
    EgressState::Ip& ip = s.ips[A("203.0.113.10")];
    ip.gateway = "n2";
    ip.block_ports = 128;
    ip.blocks = {2048, 4096};
    ip.owners = {{{2048, 2175}, "n1"}, {{4096, 4223}, "n1"}, {{8192, 8319}, "n3"}};
    return s;
  }
  uint32_t OwnerOf(uint32_t number, uint32_t port) {
    return owners_[number].node[port / SP_PORT_GROUP];
  }
  std::string NodeName(uint32_t number) { return FromAbi(nodes_.at(number).address).ToString(); }

  std::array<sp_egress_ip, 8> ips_{};
  std::array<sp_port_blocks, 8> blocks_{};
  std::array<sp_port_owners, 8> owners_{};
  std::array<sp_tunnel_node, 8> nodes_{};
  sp_tunnel tunnel_{};
  std::map<net::Address, uint32_t> outside_;
  std::function<void()> after_store_;
  bool fail_ = false;
};

TEST_F(EgressTablesTest, SaysWhatItIsTold) {
  auto tables = Open();
  ASSERT_TRUE(tables->Apply(Whole()).ok());
  uint32_t n = outside_.at(A("203.0.113.10")) & SP_OUTSIDE_NUMBER;
  EXPECT_EQ(FromAbi(ips_[n].address), A("203.0.113.10"));
  EXPECT_EQ(NodeName(ips_[n].gateway), "172.30.0.2");
  EXPECT_EQ(ips_[n].blocks, 2u);
  EXPECT_EQ(ips_[n].block_ports, 128u);
  EXPECT_EQ(blocks_[n].first[0], 2048u);
  EXPECT_EQ(blocks_[n].first[1], 4096u);
  EXPECT_EQ(OwnerOf(n, 2100), SP_NODE_SELF);
  EXPECT_EQ(OwnerOf(n, 4223), SP_NODE_SELF);
  EXPECT_EQ(NodeName(OwnerOf(n, 8200)), "172.30.0.3");
  EXPECT_EQ(OwnerOf(n, 8320), 0u);
  EXPECT_EQ(tunnel_.ifindex, 9u);
  EXPECT_EQ(tunnel_.mtu, 1450u);
  EXPECT_EQ(tunnel_.egress_ips, 1u);
  EXPECT_EQ(outside_.at(A("172.30.0.3")) & SP_OUTSIDE_NODE, SP_OUTSIDE_NODE);
}

TEST_F(EgressTablesTest, AGatewayChangesWithOneWord) {
  auto tables = Open();
  EgressState state = Whole();
  ASSERT_TRUE(tables->Apply(state).ok());
  uint32_t n = outside_.at(A("203.0.113.10")) & SP_OUTSIDE_NUMBER;
  int stores = 0;
  after_store_ = [&] { ++stores; };
  state.ips.begin()->second.gateway = "n3";
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(stores, 1);
  EXPECT_EQ(NodeName(ips_[n].gateway), "172.30.0.3");
  state.ips.begin()->second.gateway = "n1";
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(ips_[n].gateway, SP_NODE_SELF);
  state.ips.begin()->second.gateway = "unheard-of";
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(ips_[n].gateway, 0u) << "nobody, rather than somebody";
}

// At no store is a port to be had that is not this node's.
TEST_F(EgressTablesTest, PortsAreGivenOnlyWhileTheyAreOurs) {
  auto tables = Open();
  EgressState state = Whole();
  after_store_ = [this] {
    for (uint32_t n = 1; n < ips_.size(); n++)
      for (uint32_t i = 0; i < ips_[n].blocks; i++) {
        uint32_t first = blocks_[n].first[i];
        if (first == 0) continue;
        for (uint32_t port = first; port < first + ips_[n].block_ports; port += SP_PORT_GROUP)
          EXPECT_EQ(OwnerOf(n, port), SP_NODE_SELF) << port;
      }
  };
  ASSERT_TRUE(tables->Apply(state).ok());
  EgressState::Ip& ip = state.ips.begin()->second;
  ip.blocks = {4096};
  ip.owners = {{{2048, 2175}, "n3"}, {{4096, 4223}, "n1"}};
  ASSERT_TRUE(tables->Apply(state).ok());
  ip.block_ports = 64;
  ip.blocks = {4160};
  ip.owners = {{{4160, 4223}, "n1"}};
  ASSERT_TRUE(tables->Apply(state).ok());
  state.ips.clear();
  ASSERT_TRUE(tables->Apply(state).ok());
}

TEST_F(EgressTablesTest, WhatGatewaysHaveLearntStaysUntilTheLeaseSaysSo) {
  auto tables = Open();
  EgressState state = Whole();
  ASSERT_TRUE(tables->Apply(state).ok());
  uint32_t n = outside_.at(A("203.0.113.10")) & SP_OUTSIDE_NUMBER;
  owners_[n].node[100] = 2;  // as the programs do
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(owners_[n].node[100], 2u);
  state.ips.begin()->second.owners[{6400, 6463}] = "n3";
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(NodeName(owners_[n].node[100]), "172.30.0.3");
  state.ips.begin()->second.owners.erase({6400, 6463});
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(owners_[n].node[100], 0u);
}

TEST_F(EgressTablesTest, AnUnknownNodeIsNobody) {
  auto tables = Open();
  EgressState state = Whole();
  ASSERT_TRUE(tables->Apply(state).ok());
  uint32_t n = outside_.at(A("203.0.113.10")) & SP_OUTSIDE_NUMBER;
  uint32_t gone = OwnerOf(n, 8200);
  state.nodes.erase("n3");
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(OwnerOf(n, 8200), 0u);
  EXPECT_FALSE(outside_.contains(A("172.30.0.3")));
  state.nodes["n4"] = A("172.30.0.4");
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(outside_.at(A("172.30.0.4")), SP_OUTSIDE_NODE | gone) << "the place is free again";
  EXPECT_EQ(OwnerOf(n, 8200), 0u);
}

// An agent starts again: before it knows more, all stays.
TEST_F(EgressTablesTest, ASuccessorTakesOver) {
  ASSERT_TRUE(Open()->Apply(Whole()).ok());
  auto tables = Open();
  uint32_t n = outside_.at(A("203.0.113.10")) & SP_OUTSIDE_NUMBER;
  EgressState state = Whole();
  EgressState::Ip& ip = state.ips.begin()->second;
  ip = {};
  ip.gateway_known = false;
  state.ports_known = false;
  int stores = 0;
  after_store_ = [&] { ++stores; };
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_EQ(stores, 0);
  EXPECT_EQ(tables->NumberOf(A("203.0.113.10")), n);
}

TEST_F(EgressTablesTest, NumbersAreKeptWhileAnybodyNeedsThem) {
  auto tables = Open();
  uint32_t a = tables->NumberOf(A("203.0.113.1")), b = tables->NumberOf(A("2001:db8:ffff::1"));
  EXPECT_NE(a, b);
  EXPECT_EQ(tables->NumberOf(A("203.0.113.1")), a);
  tables->KeepNumbers({A("203.0.113.1")});
  EXPECT_THAT(tables->Numbers(), ElementsAre(Pair(a, A("203.0.113.1"))));
  EgressState state = Whole();
  state.ips[A("203.0.113.1")] = {};
  ASSERT_TRUE(tables->Apply(state).ok());
  tables->KeepNumbers({});
  EXPECT_TRUE(tables->Numbers().contains(a)) << "a state names it";
  state.ips.erase(A("203.0.113.1"));
  ASSERT_TRUE(tables->Apply(state).ok());
  EXPECT_FALSE(tables->Numbers().contains(a));
}

TEST_F(EgressTablesTest, FullTablesSaySoAndTheRestIsInForce) {
  auto tables = Open();
  EgressState state = Whole();
  for (int i = 1; i < 20; i++) state.ips[A(("203.0.113." + std::to_string(100 + i)).c_str())] = {};
  Status status = tables->Apply(state);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, testing::HasSubstr("\"egress_ips\" is full (7)"));
  EXPECT_TRUE(outside_.contains(A("203.0.113.10")));
  EXPECT_EQ(tables->NumberOf(A("192.0.2.1")), SP_PIN_NOWHERE);
  EXPECT_EQ(tables->NumberOf(A("2001:db8::")), SP_PIN_NOWHERE) << "no host's";
  EXPECT_EQ(tables->used(), tables->capacity());
}

TEST_F(EgressTablesTest, WhatFailedIsTriedAgain) {
  auto tables = Open();
  fail_ = true;
  EXPECT_FALSE(tables->Apply(Whole()).ok());
  fail_ = false;
  ASSERT_TRUE(tables->Apply(Whole()).ok());
  EXPECT_EQ(outside_.size(), 4u);
}

}  // namespace
}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// Pin sets in plain memory: what they answer, when they come and go, and what happens without room.
#include "dataplane/pin_table.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "egress/pin_plan.h"

namespace sallyport::dataplane {
namespace {

using egress::PinSet;
using egress::Target;

net::Address Ip(const std::string& text) { return net::Address::Parse(text).value(); }
net::Cidr Net(const char* text) { return net::Cidr::Parse(text).value(); }

class PinTableTest : public testing::Test {
 protected:
  PinTableTest() {
    tables_.pin_sets = sets_;
    tables_.pin_prefixes = nodes_;
    tables_.endpoints = endpoints_;
    around_.egress_number = [](const net::Address& ip) {
      return ip == Ip("203.0.113.99") ? SP_PIN_NOWHERE : uint32_t{ip.bytes()[15]};
    };
    around_.keep_egress_numbers = [this](const std::set<net::Address>& kept) { kept_ = kept; };
    table_ = std::make_unique<PinTable>(tables_, around_);
  }
  static Binding Bound(PinSet pins) {
    Binding out;
    out.ifindex = 7;
    out.pins = std::make_shared<const PinSet>(std::move(pins));
    return out;
  }
  Bindings One(const Binding& binding) { return {{model::ObjectName{"a", "pod"}, binding}}; }
  void Apply(const Bindings& bindings) {
    table_->Prepare(bindings);
    table_->Commit();
    table_->Settle();
  }
  // As the programs look it up.
  uint32_t Ask(uint32_t set, const std::string& to) {
    net::Address address = Ip(to);
    bool v4 = address.IsV4();
    uint32_t slot = sets_.at(set).trie[v4 ? 0 : 1];
    for (int i = v4 ? 24 : 0; i < 32 && (slot & SP_TRIE_NODE); ++i) {
      uint8_t byte = address.bytes()[static_cast<size_t>(i / 2)];
      slot = nodes_.at(slot & ~SP_TRIE_NODE).slot[i % 2 ? byte & 15 : byte >> 4];
    }
    return slot;
  }

  std::array<sp_pin_set, 4> sets_{};
  std::array<sp_trie_node, 64> nodes_{};
  std::array<sp_endpoint, 4> endpoints_{};
  Tables tables_;
  Surroundings around_;
  std::set<net::Address> kept_;
  std::unique_ptr<PinTable> table_;
};

TEST_F(PinTableTest, TheLongestPrefixAnswers) {
  Binding pod = Bound({{Net("0.0.0.0/0"), Target::Pinned(Ip("203.0.113.1"))},
                       {Net("10.0.0.0/8"), Target::NotPinned()},
                       {Net("198.51.100.0/23"), Target::Pinned(Ip("203.0.113.2"))},
                       {Net("198.51.100.128/25"), Target::Drop()},
                       {Net("198.51.100.129/32"), Target::Pinned(Ip("203.0.113.3"))},
                       {Net("192.0.2.0/24"), Target::Pinned(Ip("203.0.113.99"))},
                       {Net("2001:db8::/33"), Target::Pinned(Ip("2001:db8:ffff::4"))}});
  Apply(One(pod));
  uint32_t set = table_->Number(pod);
  EXPECT_EQ(Ask(set, "8.8.8.8"), 1u);
  EXPECT_EQ(Ask(set, "10.1.2.3"), 0u);
  EXPECT_EQ(Ask(set, "198.51.101.1"), 2u);
  EXPECT_EQ(Ask(set, "198.51.100.127"), 2u);
  EXPECT_EQ(Ask(set, "198.51.100.128"), SP_PIN_NOWHERE);
  EXPECT_EQ(Ask(set, "198.51.100.129"), 3u);
  EXPECT_EQ(Ask(set, "192.0.2.1"), SP_PIN_NOWHERE) << "an egress IP without a number";
  EXPECT_EQ(Ask(set, "2001:db8:7fff::1"), 4u);
  EXPECT_EQ(Ask(set, "2001:db8:8000::1"), 0u);
  EXPECT_EQ(Ask(set, "2001:db9::1"), 0u);
  EXPECT_EQ(kept_.size(), 5u);
}

TEST_F(PinTableTest, EqualSetsAreOne) {
  Binding a = Bound({{Net("0.0.0.0/0"), Target::Drop()}}), b = Bound(*a.pins);
  Apply({{{"a", "1"}, a}, {{"a", "2"}, b}});
  EXPECT_EQ(table_->Number(a), table_->Number(b));
  EXPECT_EQ(table_->sets(), 1u);
  EXPECT_EQ(table_->Number(Binding{}), 0u);
  EXPECT_EQ(table_->Number(Bound({})), 0u);
}

// What is in force stays readable until it is not any more.
TEST_F(PinTableTest, OldOnesGoWhenTheFormerHalfIsAtRest) {
  Binding a = Bound({{Net("198.51.100.0/24"), Target::Pinned(Ip("203.0.113.1"))}});
  Binding b = Bound({{Net("198.51.100.0/24"), Target::Pinned(Ip("203.0.113.2"))}});
  Apply(One(a));
  uint32_t old = table_->Number(a);
  table_->Prepare(One(b));
  EXPECT_NE(table_->Number(b), old);
  EXPECT_EQ(Ask(old, "198.51.100.1"), 1u);
  table_->Undo();
  EXPECT_EQ(table_->Number(b), SP_PIN_SET_FULL) << "it was taken back";
  table_->Prepare(One(b));
  table_->Commit();
  EXPECT_EQ(Ask(old, "198.51.100.1"), 1u);
  size_t used = table_->used();
  table_->Settle();
  EXPECT_LT(table_->used(), used);
  EXPECT_EQ(table_->sets(), 1u);
  Apply({});
  EXPECT_EQ(table_->used(), 0u);
  EXPECT_EQ(table_->sets(), 0u);
  EXPECT_TRUE(kept_.empty());
}

TEST_F(PinTableTest, WithoutRoomAllIsDropped) {
  std::vector<Binding> pods;
  Bindings all;
  for (int i = 0; i < 5; ++i) {
    std::string ip = "203.0.113." + std::to_string(i + 1);
    pods.push_back(Bound({{Net("198.51.100.0/24"), Target::Pinned(Ip(ip))}}));
    all[{"a", std::to_string(i)}] = pods.back();
  }
  Apply(all);
  EXPECT_EQ(table_->left_out(), 2u) << "three numbers there are";
  EXPECT_EQ(table_->Number(pods[4]), SP_PIN_SET_FULL);
  PinSet large;
  for (int i = 0; i < 100; ++i)
    large[net::Cidr(net::Address::V4(static_cast<uint32_t>(i) << 20 | 1), 32)] = Target::Drop();
  Binding pod = Bound(large);
  Apply(One(pod));
  EXPECT_EQ(table_->left_out(), 1u);
  EXPECT_EQ(table_->Number(pod), SP_PIN_SET_FULL);
  EXPECT_EQ(table_->used(), 0u) << "what was begun is taken back";
  Apply({{{"a", "0"}, pods[0]}});
  EXPECT_EQ(table_->left_out(), 0u) << "there is room again";
}

TEST_F(PinTableTest, ASuccessorKeepsWhatIsInForce) {
  Binding a = Bound({{Net("198.51.100.0/24"), Target::Pinned(Ip("203.0.113.1"))}});
  Apply(One(a));
  uint32_t number = table_->Number(a);
  endpoints_[2].ifindex = 7;
  endpoints_[2].flags[1] = SP_ENDPOINT_OPEN | number << SP_ENDPOINT_PINS_SHIFT;
  table_ = std::make_unique<PinTable>(tables_, around_);
  table_->Adopt(1);
  Binding b = Bound({{Net("0.0.0.0/0"), Target::Drop()}});
  table_->Prepare(One(b));
  EXPECT_NE(table_->Number(b), number);
  EXPECT_EQ(Ask(number, "198.51.100.9"), 1u);
  table_->Commit();
  table_->Settle();
  EXPECT_EQ(table_->sets(), 1u);
}

}  // namespace
}  // namespace sallyport::dataplane

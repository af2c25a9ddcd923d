// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_tables.h"

#include <gtest/gtest.h>

#include "support/table_twin.h"

namespace sallyport::dataplane {
namespace {

class PortTablesTest : public ::testing::Test {
 protected:
  PortTablesTest() { ports_.AdoptDone(); }

  uint32_t Intern(const policy::PortSet& set) {
    PortTables::Interned ports = ports_.Intern(set);
    return ports.full ? ~0u : ports.number;
  }
  bool Allows(uint32_t number, net::Protocol protocol, uint16_t port) {
    // Through a rule, as the kernel side gets there.
    sp_rule& rule = tables_
                        .rules[sp_bucket(sp_hash_rule(tables_.hash_seed, 1, 0),
                                         static_cast<uint32_t>(tables_.rules.size() - 1))]
                        .rule[0];
    rule = {.set = 1, .identity = 0, .port_set = number, .reserved = 0};
    return test::TableTwin(tables_).Allows(1, 0, protocol, port) == test::Judgement::kAllowed;
  }

  test::HeapTables memory_{{.port_sets = 6, .port_pages = 8}};
  Tables tables_ = memory_.tables();
  Surroundings around_;
  PortTables ports_{tables_, around_};
};

TEST_F(PortTablesTest, NoPortsAreNoPorts) { EXPECT_EQ(Intern({}), SP_PORTS_NONE); }

TEST_F(PortTablesTest, EveryEdge) {
  policy::PortSet set{.tcp = {{0, 0}, {63, 64}, {2047, 2048}, {65535, 65535}},
                      .udp = {{4096, 8191}},
                      .sctp = {{1, 65534}}};
  uint32_t number = Intern(set);
  for (net::Protocol protocol : {net::Protocol::kTcp, net::Protocol::kUdp, net::Protocol::kSctp})
    for (uint32_t port = 0; port < 65536; ++port)
      ASSERT_EQ(Allows(number, protocol, static_cast<uint16_t>(port)),
                set.Allows(protocol, static_cast<uint16_t>(port)))
          << net::ToString(protocol) << " " << port;
  EXPECT_FALSE(Allows(number, net::Protocol::kIcmp, 0));
}

TEST_F(PortTablesTest, AllPortsOfAProtocolNeedNoPages) {
  uint32_t number = Intern({.tcp = {{0, 65535}}, .udp = {}, .sctp = {}});
  EXPECT_EQ(ports_.pages_used(), 2u) << "the two that every table has";
  EXPECT_TRUE(Allows(number, net::Protocol::kTcp, 65535));
  EXPECT_FALSE(Allows(number, net::Protocol::kUdp, 80));
}

TEST_F(PortTablesTest, EqualContentsAreOneNumberUntilTheLastUse) {
  policy::PortSet set{.tcp = {{80, 80}}, .udp = {{80, 80}}, .sctp = {}};
  uint32_t number = Intern(set);
  EXPECT_EQ(Intern(set), number);
  EXPECT_EQ(ports_.pages_used(), 3u) << "one page for both protocols";
  ports_.Unref(number);
  EXPECT_EQ(ports_.sets_used(), 3u);
  ports_.Unref(number);
  EXPECT_EQ(ports_.sets_used(), 2u);
  EXPECT_EQ(ports_.pages_used(), 2u);
}

TEST_F(PortTablesTest, AFullTableFailsAndKeepsNothing) {
  for (uint16_t port = 1; port <= 4; ++port) Intern({.tcp = {{port, port}}, .udp = {}, .sctp = {}});
  size_t pages = ports_.pages_used();
  PortTables::Interned fifth = ports_.Intern({.tcp = {{9, 9}}, .udp = {{10, 10}}, .sctp = {}});
  EXPECT_STREQ(fifth.full, "port_sets");
  EXPECT_EQ(ports_.pages_used(), pages);
}

TEST_F(PortTablesTest, NoPagesLeft) {
  policy::PortSet many;
  for (uint16_t i = 0; i < 8; ++i)
    many.tcp.push_back({static_cast<uint16_t>(i * 2048 + i), static_cast<uint16_t>(i * 2048 + i)});
  EXPECT_STREQ(ports_.Intern(many).full, "port_pages");
  EXPECT_EQ(ports_.pages_used(), 2u);
}

}  // namespace
}  // namespace sallyport::dataplane

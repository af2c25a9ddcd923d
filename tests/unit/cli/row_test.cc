// SPDX-License-Identifier: Apache-2.0
#include "cli/row.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/json.h"
#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Ask, AnswersForEachFamilyInCommon) {
  World world(SmallSnapshot());
  EXPECT_EQ(RowsOf(world, "shop/web", "shop/db-0:5432").size(), 2u);
  EXPECT_EQ(RowsOf(world, "mon/scraper", "shop/db-0:5432").size(), 1u);
  EXPECT_EQ(RowsOf(world, "192.0.2.1", "shop/db-0:5432").at(0).destination, Ip("10.0.0.2"));
  auto none = Ask(world, SideOf(world, "mon/scraper"), SideOf(world, "2001:db8::1"),
                  {net::Protocol::kTcp, 80});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "mon/scraper (IPv4 only) and 2001:db8::1 (IPv6 only) have no address of one family in "
            "common");
  EXPECT_FALSE(Ask(world, SideOf(world, "shop/web"), SideOf(world, "mon/scraper"),
                   {net::Protocol::kTcp, 80}, Family::kV6));
}

TEST(Ask, ADestinationWithoutAnAddressHasOneAnswer) {
  model::Snapshot snapshot = SmallSnapshot();
  Add(snapshot, MakePod("shop", "db-1", {}));
  World world(snapshot);
  auto rows = RowsOf(world, "shop/web", "shop/db-1:80");
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_FALSE(rows[0].verdict.allowed);
  EXPECT_EQ(rows[0].Title(), "shop/web -> shop/db-1:80/TCP");
  EXPECT_THAT(ToJson(rows), HasSubstr("\"address\": null"));
}

TEST(Ask, MadeUpAddressesAreNotShown) {
  model::Snapshot snapshot = SmallSnapshot();
  Add(snapshot, MakePod("new", "a", {}));
  auto policy = std::make_shared<model::NetworkPolicy>();
  policy->name = {"shop", "web"};
  policy->pods = model::Selector({{"app", model::Operator::kIn, {"web"}}});
  policy->isolates_ingress = true;
  model::Rule rule;
  rule.peers.push_back(model::IpBlock{*net::Cidr::Parse("10.9.0.0/16"), {}});
  policy->ingress.push_back(rule);
  snapshot.policies[policy->name] = policy;
  World world(snapshot);
  auto rows = RowsOf(world, "new/a", "shop/web:80");
  EXPECT_FALSE(rows.at(0).verdict.allowed);
  std::string made_up = SideOf(world, "new/a").addresses.at(0).ToString();
  EXPECT_THAT(InWords(rows.at(0)), Not(HasSubstr(made_up)));
  EXPECT_THAT(ToJson(rows), Not(HasSubstr(made_up)));
}

TEST(Row, ExplainsItself) {
  World world(SmallSnapshot());
  auto rows = RowsOf(world, "mon/scraper", "shop/db-0:5432");
  EXPECT_THAT(InWords(rows.at(0)),
              HasSubstr("mon/scraper -> shop/db-0:5432/TCP (10.0.0.2): denied\n"
                        "  egress of mon/scraper: allowed: no policy isolates it for egress\n"
                        "  ingress of shop/db-0: denied: isolated by shop/db; nearest: shop/db "
                        "ingress[0] (db.yaml:9): "));
}

TEST(Row, TitlesOfEveryKindOfDestination) {
  World world(SmallSnapshot());
  EXPECT_EQ(RowsOf(world, "shop/web", "[2001:db8::1]:80").at(0).Title(),
            "shop/web -> [2001:db8::1]:80/TCP");
  EXPECT_EQ(RowsOf(world, "shop/web", "192.0.2.1/ICMP").at(0).Title(),
            "shop/web -> 192.0.2.1/ICMP");
  EXPECT_EQ(RowsOf(world, "192.0.2.1", "shop/web:80").at(0).Title(),
            "192.0.2.1 -> shop/web:80/TCP (10.0.0.1)");
}

// The shape that scripts rely on.
TEST(Row, AsJson) {
  World world(SmallSnapshot());
  auto rows = RowsOf(world, "mon/scraper", "shop/db-0:5432");
  rows.at(0).verdict.ingress.near_miss->lacked = "X";
  EXPECT_EQ(
      ToJson(rows),
      "[\n"
      R"({"from": "mon/scraper", "to": "shop/db-0", "address": "10.0.0.2", "port": 5432, )"
      R"("protocol": "TCP", "allowed": false, )"
      R"("egress": {"allowed": true, "why": "not-isolated", "isolating": [], "rule": null, )"
      R"("near_miss": null}, )"
      R"("ingress": {"allowed": false, "why": "no-rule", "isolating": ["shop/db"], "rule": null, )"
      R"("near_miss": {"rule": {"policy": "shop/db", "direction": "ingress", "index": 0, )"
      R"("file": "db.yaml", "line": 9}, "lacked": "X"}}})"
      "\n]\n");
  EXPECT_EQ(ToJson(std::vector<Row>{}), "[]\n");
}

TEST(Row, AsJsonWithWhatWasSeenAndExpected) {
  World world(SmallSnapshot());
  Row row = RowsOf(world, "shop/web", "shop/db-0:5432").at(1);
  row.seen = probe::Answer{probe::Outcome::kOpen, std::chrono::microseconds(420), ""};
  row.expected = Expected{false, "not listed"};
  row.agent = R"({"reason": "x"})";
  EXPECT_THAT(ToJson({row}), HasSubstr(R"("outcome": "open", "latency_ms": 0.42, )"
                                       R"("expected": "denied", "as_expected": false, )"
                                       R"("agent": {"reason": "x"}})"));
  EXPECT_THAT(ToJson({row}), HasSubstr(R"("rule": {"policy": "shop/db", "direction": "ingress")"));
  row.seen = probe::Answer{probe::Outcome::kBlocked, {}, ""};
  EXPECT_THAT(ToJson({row}), HasSubstr(R"("outcome": "blocked", "latency_ms": null)"));
  row.seen = probe::Answer{probe::Outcome::kError, {}, "no route"};
  EXPECT_THAT(ToJson({row}), HasSubstr(R"("detail": "no route")"));
}

TEST(Row, IcmpIsNamedByItsFamily) {
  World world(SmallSnapshot());
  auto rows = RowsOf(world, "shop/web", "shop/db-0/ICMP");
  EXPECT_THAT(ToJson(rows), HasSubstr(R"("port": null, "protocol": "ICMP")"));
  EXPECT_THAT(ToJson(rows), HasSubstr(R"("port": null, "protocol": "ICMPv6")"));
}

TEST(Json, EscapesAndRepairs) {
  EXPECT_EQ(Json("a\"\\\n\x01é"), R"("a\"\\\n\u0001é")");
  EXPECT_EQ(Json("\x7f"), R"("\u007f")") << "a file of text has none";
  EXPECT_EQ(Json("\xff\xc0\xaf\xed\xa0\x80z"),
            "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
  EXPECT_EQ(Json(0.5), "0.5");
  EXPECT_EQ(Json(1.0 / 0.0), "null");
}

}  // namespace
}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/agent_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "cli/agent_command.h"
#include "cli/agent_events.h"
#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::HasSubstr;

class AgentViewsTest : public ::testing::Test {
 protected:
  std::ostringstream out_, err_;
  Terminal terminal_{out_, err_};
  model::Value Read(const std::string& json) {
    auto value = ParseAnswer(json);
    EXPECT_TRUE(value) << value.error().message;
    return *value;
  }
};

constexpr const char* kEvent =
    R"({"time": "2026-01-31T09:05:00.123Z", "verdict": "drop", "reason": "policy",
        "direction": "ingress", "endpoint": "shop/db-0", "source": "10.0.1.1",
        "source_port": 4000, "destination": "10.0.0.2", "destination_port": 5432,
        "protocol": "TCP", "source_pod": "mon/scraper", "destination_pod": "shop/db-0",
        "isolating": ["shop/db"], "near_miss": "shop/db ingress[0]: the peer", "suppressed": 3})";

TEST_F(AgentViewsTest, Endpoints) {
  EXPECT_EQ(RenderEndpoints(Read(R"([
    {"pod": "shop/web", "interface": "veth1", "ifindex": 7, "addresses": ["10.0.0.1", "fd00::1"],
     "state": "open", "why_closed": "", "egress_set": 0, "ingress_set": 12, "keeps": ["ingress"],
     "packets": {"egress": 5, "ingress": 1200}, "bytes": {"egress": 1, "ingress": 2},
     "dropped": {"policy": 3, "spoofed": 1}},
    {"pod": "", "interface": "veth22", "state": "closed", "why_closed": "nobody's yet",
     "dropped": {}}])"),
                            terminal_),
            "POD       INTERFACE  ADDRESSES          STATE                 EGRESS SET  INGRESS SET"
            "  KEEPS    PACKETS OUT  PACKETS IN  DROPPED\n"
            "shop/web  veth1      10.0.0.1, fd00::1  open                           0           12"
            "  ingress            5        1200  policy 3, spoofed 1\n"
            "-         veth22     -                  closed: nobody's yet           -            -"
            "  -                  -           -  -\n");
  EXPECT_EQ(RenderEndpoints(Read("[]"), terminal_), "no endpoints on this node\n");
}

TEST_F(AgentViewsTest, PoliciesAndFlows) {
  EXPECT_THAT(RenderPolicies(Read(R"([{"policy": "shop/db", "selects": ["shop/db-0", "shop/db-1"],
                      "directions": ["ingress"], "established": "keep", "place": "db.yaml:1"}])"),
                             terminal_),
              HasSubstr("shop/db  ingress     keep         shop/db-0, shop/db-1  db.yaml:1\n"));
  std::string flows = RenderFlows(
      Read(R"([{"protocol": "UDP", "source": "fd00::1", "source_port": 4000, "source_pod": "",
          "destination": "10.0.0.2", "destination_port": 53, "destination_pod": "shop/db-0",
          "idle_s": 3, "answered": true, "closing": false, "cut": false, "egress": true,
          "ingress": null}])"),
      terminal_);
  EXPECT_THAT(
      RenderFlows(Read(R"([{"protocol": "TCP", "answered": true, "kept": true}])"), terminal_),
      HasSubstr("  kept "));
  EXPECT_THAT(
      flows,
      HasSubstr(
          "UDP       [fd00::1]:4000  shop/db-0 (10.0.0.2):53  answered       3  allowed        -"));
}

TEST_F(AgentViewsTest, Status) {
  std::string text =
      RenderStatus(Read(R"({"node": "n1", "version": "0.1.0", "generation": 4, "ready": false,
               "reasons": ["2 endpoints wait"], "diagnostics": [],
               "tables": [{"name": "flows", "used": 10, "capacity": 65536}]})"),
                   terminal_);
  EXPECT_EQ(text,
            "node        n1\nversion     0.1.0\ngeneration  4\nready       no\n"
            "  - 2 endpoints wait\n\n"
            "TABLE  USED  CAPACITY\nflows    10     65536\n");
}

TEST_F(AgentViewsTest, Events) {
  EXPECT_EQ(RenderEvent(Read(kEvent), terminal_),
            "2026-01-31T09:05:00.123Z drop policy: ingress of shop/db-0: mon/scraper "
            "(10.0.1.1):4000 -> shop/db-0 (10.0.0.2):5432 TCP (and 3 not shown)\n"
            "    isolated by shop/db; nearest: shop/db ingress[0]: the peer\n");
  EXPECT_EQ(RenderEvent(Read(R"({"verdict": "drop", "protocol": "ICMP", "source": "fd00::1"})"),
                        terminal_),
            " drop :  of : fd00::1 ->  ICMP\n")
      << "an agent of another version: what is there is shown";
}

TEST_F(AgentViewsTest, ATerminalIsToldNothing) {
  std::string text = RenderEvent(
      Read(R"({"reason": "a\u001b[2Jb\nc", "endpoint": "d\u009be\u007f", "direction": "é"})"),
      terminal_);
  EXPECT_EQ(text, "  a [2Jb c: é of d e :  ->  \n");
  EXPECT_THAT(RenderEndpoints(Read(R"([{"dropped": {"x\ny": 1}}])"), terminal_),
              HasSubstr("  x y 1\n"));
}

TEST_F(AgentViewsTest, JsonHasOneRowALine) {
  EXPECT_EQ(RenderJson(Read(R"([{"a": [1, true]}, {"b": null, "c": 1.5}])")),
            "[\n{\"a\": [1, true]},\n{\"b\": null, \"c\": 1.5}\n]\n");
  EXPECT_EQ(RenderJson(Read(R"({"a": {}})")), "{\"a\": {}}\n");
  EXPECT_FALSE(ParseAnswer(""));
  EXPECT_FALSE(ParseAnswer("[1,"));
}

TEST_F(AgentViewsTest, EventsGoToTheirBlockedRows) {
  World world(SmallSnapshot());
  std::vector<Row> rows = RowsOf(world, "mon/scraper", "shop/db-0:5432");
  rows.push_back(RowsOf(world, "mon/scraper", "shop/db-0:5433").at(0));
  rows.push_back(rows[0]);
  for (Row& row : rows) row.seen = probe::Answer{probe::Outcome::kBlocked, {}, ""};
  rows[2].seen->outcome = probe::Outcome::kOpen;
  std::string events = "[" + std::string(kEvent) + "]";
  WallTime after = WallTime(std::chrono::seconds(1769850301));  // 2026-01-31T09:05:01Z
  AttachEvents(events, "n1", after, rows);
  EXPECT_EQ(rows[0].agent, "") << "it is older than the probe";
  AttachEvents("nonsense", "n1", WallTime(), rows);
  AttachEvents(events, "n1", after - std::chrono::seconds(2), rows);
  EXPECT_THAT(rows[0].agent, ::testing::StartsWith(R"({"node": "n1", "time": "2026-01-31T09:05)"));
  EXPECT_EQ(rows[1].agent, "") << "another port";
  EXPECT_EQ(rows[2].agent, "") << "not blocked";
}

TEST_F(AgentViewsTest, TimestampsCompareAsTimesDo) {
  WallTime time = WallTime(std::chrono::milliseconds(1769850300123));
  EXPECT_EQ(Timestamp(time), "2026-01-31T09:05:00.123Z");
  EXPECT_LT(Timestamp(time), Timestamp(time + std::chrono::milliseconds(1)));
}

TEST_F(AgentViewsTest, AMissingAgentSaysWhatToDo) {
  AgentPlace nowhere{"", "/tmp/spt-nowhere.sock"};
  EXPECT_EQ(RunAgent(AgentQuestion::kEndpoints, {nowhere}, {}, terminal_), kCouldNotTell);
  EXPECT_THAT(err_.str(), HasSubstr("no agent answers on /tmp/spt-nowhere.sock"));
  EXPECT_THAT(err_.str(), HasSubstr("--socket"));
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/expect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "unit/cli/small_world.h"

namespace sallyport::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ExpectTest : public ::testing::Test {
 protected:
  World world_{SmallSnapshot()};

  Expectations Read(const std::string& text) {
    auto out = Expectations::Parse(text, "expect.yaml");
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    Status bound = out->Bind(world_);
    EXPECT_TRUE(bound) << bound.error().message;
    return *out;
  }
  std::string BindError(const std::string& text) {
    Status bound = Expectations::Parse(text, "expect.yaml")->Bind(world_);
    return bound ? "" : bound.error().message;
  }
  bool Allows(const Expectations& expectations, const std::string& from, const std::string& to) {
    return expectations.Of(RowsOf(world_, from, to).at(0)).allowed;
  }
};

TEST_F(ExpectTest, WhatIsNotListedIsDenied) {
  Expectations e = Read("namespace: shop\nallowed:\n- web -> db:5432\n");
  EXPECT_TRUE(Allows(e, "shop/web", "shop/db-0:5432"));
  EXPECT_FALSE(Allows(e, "shop/web", "shop/db-0:5432/UDP"));
  EXPECT_FALSE(Allows(e, "shop/web", "shop/db-0:5433"));
  EXPECT_FALSE(Allows(e, "shop/db-0", "shop/web:5432"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "shop/db-0:5432"));
  EXPECT_TRUE(Allows(e, "shop/db-0", "shop/db-0:1")) << "itself";
}

TEST_F(ExpectTest, DeniedWins) {
  Expectations e = Read("allowed:\n- any -> shop/db\ndenied:\n- mon/* -> shop/*:5432,5433/UDP\n");
  EXPECT_TRUE(Allows(e, "shop/web", "shop/db-0:5432"));
  EXPECT_TRUE(Allows(e, "192.0.2.1", "shop/db-0:5433/UDP"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "shop/db-0:5432"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "shop/db-0:5433/UDP"));
  EXPECT_TRUE(Allows(e, "mon/scraper", "shop/db-0:5433"));
}

TEST_F(ExpectTest, AddressesAndWordsForTheOutside) {
  Expectations e = Read(
      "allowed:\n"
      "- 192.0.2.0/24 -> shop/web:80\n"
      "- shop/web -> [2001:db8::/32]:443\n"
      "- outside -> mon/scraper/ICMP\n"
      "- pods -> outside:53/UDP\n");
  EXPECT_TRUE(Allows(e, "192.0.2.9", "shop/web:80"));
  EXPECT_FALSE(Allows(e, "192.0.3.9", "shop/web:80"));
  EXPECT_TRUE(Allows(e, "shop/web", "[2001:db8::9]:443"));
  EXPECT_TRUE(Allows(e, "192.0.2.9", "mon/scraper/ICMP"));
  EXPECT_FALSE(Allows(e, "shop/web", "mon/scraper/ICMP"));
  EXPECT_TRUE(Allows(e, "mon/scraper", "192.0.2.9:53/UDP"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "shop/web:53/UDP"));
}

TEST_F(ExpectTest, TheClustersDnsIsKnownByItsLabelAndMayBeAbsent) {
  const std::string text = "allowed: ['pods -> cluster-dns:53/UDP', 'cluster-dns -> shop/web:80']";
  Read(text);  // nobody is meant, which is no error
  model::Snapshot snapshot = SmallSnapshot();
  for (auto [ns, name, app] :
       {std::tuple{"kube-system", "names-x7k2p", "kube-dns"},
        std::tuple{"kube-system", "other", "proxy"}, std::tuple{"mon", "impostor", "kube-dns"}}) {
    model::Pod pod = MakePod(ns, name, {"10.0.2." + std::to_string(snapshot.pods.size())});
    pod.labels = {{"k8s-app", app}};
    Add(snapshot, pod);
  }
  world_ = World(snapshot);
  Expectations e = Read(text);
  EXPECT_TRUE(Allows(e, "mon/scraper", "kube-system/names-x7k2p:53/UDP"));
  EXPECT_TRUE(Allows(e, "kube-system/names-x7k2p", "shop/web:80"));
  EXPECT_FALSE(Allows(e, "192.0.2.1", "kube-system/names-x7k2p:53/UDP"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "kube-system/other:53/UDP"));
  EXPECT_FALSE(Allows(e, "mon/scraper", "mon/impostor:53/UDP"));
}

TEST_F(ExpectTest, PortsByNameOfTheDestination) {
  Expectations e = Read("allowed: [any -> shop/db:sync/UDP]");
  EXPECT_TRUE(Allows(e, "shop/web", "shop/db-0:5433/UDP"));
  EXPECT_FALSE(Allows(e, "shop/web", "shop/db-0:5432/UDP"));
  EXPECT_FALSE(Allows(e, "shop/web", "shop/db-0:5433"));
}

TEST_F(ExpectTest, SaysWhichLineExpectsIt) {
  Expectations e = Read("allowed:\n- shop/web -> shop/db:5432\ndenied:\n- any -> mon/scraper\n");
  auto why = [&](const char* from, const char* to) {
    return e.Of(RowsOf(world_, from, to).at(0)).why;
  };
  EXPECT_EQ(why("shop/web", "shop/db-0:5432"),
            "allowed by expect.yaml:2 (shop/web -> shop/db:5432)");
  EXPECT_EQ(why("shop/web", "mon/scraper:1"), "denied by expect.yaml:4 (any -> mon/scraper)");
  EXPECT_EQ(why("mon/scraper", "shop/web:1"), "not listed in expect.yaml");
}

TEST_F(ExpectTest, NamesItsAddressesAndPorts) {
  Expectations e = Read(
      "allowed:\n- 192.0.2.1 -> shop/web:80,443\n- shop/web -> 192.0.2.2:80\n"
      "- 10.0.0.0/8 -> shop/web:http\n");
  EXPECT_THAT(e.Sources(), ElementsAre(Ip("192.0.2.1")));
  EXPECT_THAT(e.Destinations(), ElementsAre(Ip("192.0.2.2")));
  EXPECT_THAT(e.PortsOf(SideOf(world_, "shop/web")),
              ElementsAre(Port{net::Protocol::kTcp, 80}, Port{net::Protocol::kTcp, 443}));
  EXPECT_THAT(e.PortsOf(SideOf(world_, "shop/db-0")), ElementsAre());
  EXPECT_THAT(e.PortsOf(SideOf(world_, "192.0.2.2")), ElementsAre(Port{net::Protocol::kTcp, 80}));
}

TEST_F(ExpectTest, ALineAboutNobodyIsAnError) {
  auto e = Expectations::Parse("allowed:\n- shop/web -> shop/dbb:5432\n", "expect.yaml");
  ASSERT_TRUE(e);
  Status bound = e->Bind(world_);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().message,
            "expect.yaml:2: no pod or workload matches \"shop/dbb\" in \"shop/web -> "
            "shop/dbb:5432\"");
}

TEST_F(ExpectTest, SaysWhyAPodIsNotInTheMatrix) {
  model::Snapshot snapshot = SmallSnapshot();
  model::Pod proxy = MakePod("kube-system", "proxy", {"192.168.0.1"});
  proxy.host_network = true;
  Add(snapshot, proxy);
  model::Pod job = MakePod("shop", "job", {"10.0.0.9"});
  job.phase = model::PodPhase::kFailed;
  Add(snapshot, job);
  world_ = World(snapshot);
  EXPECT_EQ(BindError("allowed:\n- any -> kube-system/proxy:80\n- shop/job -> any\n"),
            "expect.yaml:2: pod kube-system/proxy is on its node's network: policy does not see it "
            "as a pod; nobody else matches \"kube-system/proxy\" in \"any -> "
            "kube-system/proxy:80\"\n"
            "expect.yaml:3: pod shop/job has ended: policy does not see it; nobody else matches "
            "\"shop/job\" in \"shop/job -> any\"");
  Read("allowed: [any -> shop/*]");
}

TEST_F(ExpectTest, APortNameThatNoDestinationHasIsAnError) {
  EXPECT_EQ(BindError("allowed:\n- any -> any\ndenied:\n- any -> shop/web:htpp,http\n"),
            "expect.yaml:4: no destination has a TCP port named \"htpp\" in \"any -> "
            "shop/web:htpp,http\"");
  EXPECT_THAT(BindError("allowed: [any -> shop/db:sync]"), HasSubstr("TCP port named \"sync\""));
  EXPECT_THAT(BindError("allowed: [any -> outside:http]"), HasSubstr("\"http\""));
  Read("allowed: [any -> any:http, any -> shop/*:sync/UDP]");
}

TEST_F(ExpectTest, APortThatIsNotAskedAboutIsAnError) {
  Expectations e = Read("allowed:\n- any -> shop/db:5432,ICMP\n");
  EXPECT_TRUE(e.CheckPorts(*probe::ParsePorts("ICMP,80,5432"), world_));
  EXPECT_EQ(e.CheckPorts(*probe::ParsePorts("80,5432"), world_).error().message,
            "expect.yaml:2: --ports leaves out ICMP in \"any -> shop/db:5432,ICMP\"");
  e = Read("allowed: [any -> any:http]");
  EXPECT_TRUE(e.CheckPorts(*probe::ParsePorts("80"), world_));
  EXPECT_THAT(e.CheckPorts(*probe::ParsePorts("81"), world_).error().message,
              HasSubstr("--ports leaves out 80/TCP"));
}

TEST_F(ExpectTest, AnAddressThatCannotBeTriedIsAnError) {
  Expectations e =
      Read("allowed:\n- 192.0.2.1 -> pods\n- 192.0.2.0/24 -> pods\n- pods -> 172.16.0.1:80\n");
  EXPECT_TRUE(e.CheckAddresses({Ip("192.0.2.1")}, {Ip("172.16.0.1")}));
  EXPECT_EQ(e.CheckAddresses({Ip("192.0.2.9")}, {Ip("172.16.0.1")}).error().message,
            "expect.yaml:2: 192.0.2.1 cannot be tried (the lab's outside: 192.0.2.9; its nodes: "
            "172.16.0.1) in \"192.0.2.1 -> pods\"");
  EXPECT_THAT(e.CheckAddresses({}, {Ip("192.0.2.1"), Ip("172.16.0.1")}).error().message,
              HasSubstr("expect.yaml:3: 192.0.2.0/24 cannot be tried (the lab's outside: none"));
}

TEST_F(ExpectTest, KnowsWhetherItSpeaksOfTheOutside) {
  std::vector<net::Address> outside{Ip("192.0.2.1")};
  EXPECT_TRUE(Read("denied: [pods -> outside]").NamesOutside(outside));
  EXPECT_TRUE(Read("denied: [192.0.2.1 -> pods]").NamesOutside(outside));
  EXPECT_TRUE(Read("denied: [pods -> 192.0.2.0/24]").NamesOutside(outside));
  EXPECT_FALSE(Read("allowed: [any -> shop/web, 192.0.2.2 -> pods]").NamesOutside(outside));
}

TEST_F(ExpectTest, AFileThatSaysNothingIsAnError) {
  for (const char* text : {"", "# nothing\n", "---\n", "namespace: shop\n"}) {
    auto e = Expectations::Parse(text, "expect.yaml");
    ASSERT_FALSE(e) << text;
    EXPECT_THAT(e.error().message, HasSubstr("allowed: []")) << text;
  }
  EXPECT_TRUE(Expectations::Parse("allowed: []", "x"));
}

TEST_F(ExpectTest, ABlockThatIsNoneIsNoPod) {
  auto e = Expectations::Parse("allowed: [10.0.0.0/99 -> any]", "x");
  ASSERT_FALSE(e);
  EXPECT_THAT(e.error().message, HasSubstr("\"10.0.0.0/99\" is not a CIDR"));
}

TEST_F(ExpectTest, EverythingWrongIsListedWithItsLine) {
  auto e = Expectations::Parse(
      "allowed:\n- web\n- web -> db:0\n- We -> db\n- {a: b}\ndenies:\n- a -> b\n", "expect.yaml");
  ASSERT_FALSE(e);
  for (const char* part :
       {"expect.yaml:2: \"web\" lacks an arrow", "expect.yaml:3: ", "expect.yaml:4: \"We\"",
        "expect.yaml:5: not a line", "\"denies\": only namespace, allowed and denied"}) {
    EXPECT_THAT(e.error().message, HasSubstr(part));
  }
  EXPECT_FALSE(Expectations::Parse("- web -> db", "x"));
  EXPECT_FALSE(Expectations::Parse("allowed: [\n", "x"));
  EXPECT_TRUE(Expectations::Parse("allowed:\n", "x")) << "everything is denied";
}

TEST_F(ExpectTest, AnExactNameIsThatPodAlone) {
  model::Snapshot snapshot = SmallSnapshot();
  Add(snapshot, MakePod("shop", "db", {"10.0.0.8"}));
  world_ = World(snapshot);
  Expectations e = Read("allowed:\n- any -> shop/db\n");
  EXPECT_TRUE(Allows(e, "shop/web", "shop/db:1"));
  EXPECT_FALSE(Allows(e, "shop/web", "shop/db-0:1"));
}

TEST(IsOwnedName, KnowsHowControllersNamePods) {
  for (const char* pod : {"db-0", "db-12", "db-x7k2p", "db-6d4cf56db6-x7k2p"}) {
    EXPECT_TRUE(IsOwnedName("db", pod)) << pod;
  }
  for (const char* pod : {"db", "db-", "db-v2", "db-redis", "db-postgres", "dbx-0", "db-0-1",
                          "xdb-0", "db-6d4cf56db6", "db-x7k2p-"}) {
    EXPECT_FALSE(IsOwnedName("db", pod)) << pod;
  }
}

TEST(WorkloadOf, LeavesOutWhatWasGenerated) {
  EXPECT_EQ(WorkloadOf("db-x7k2p"), "db");
  EXPECT_EQ(WorkloadOf("db-v2-6d4cf56db6-x7k2p"), "db-v2");
  for (const char* name : {"db", "db-0", "db-redis", "web-canary", "x7k2p", "-x7k2p"}) {
    EXPECT_EQ(WorkloadOf(name), name);
  }
}

TEST(GlobMatches, StarsAndQuestionMarks) {
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("a*c*e", "abcde"));
  EXPECT_TRUE(GlobMatches("a?c", "abc"));
  EXPECT_TRUE(GlobMatches("*-0", "a-0-0"));
  EXPECT_FALSE(GlobMatches("a*c", "abcd"));
  EXPECT_FALSE(GlobMatches("?", ""));
  EXPECT_FALSE(GlobMatches("", "a"));
}

}  // namespace
}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include "lab/dns_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "lab/dns_command.h"
#include "unit/lab/make.h"

namespace sallyport::lab {
namespace {

using testing::HasSubstr;

struct World {
  std::deque<Value> trees;
  DnsInputs inputs;

  World& Service(const std::string& name, const std::string& spec) {
    inputs.services.push_back(&trees.emplace_back(MakeValue(
        "{kind: Service, metadata: {name: " + name + ", namespace: shop}, spec: {" + spec + "}}")));
    return *this;
  }
  World& Slice(const std::string& service, const std::string& family, const std::string& more) {
    inputs.slices.push_back(&trees.emplace_back(
        MakeValue("{kind: EndpointSlice, metadata: {name: s, namespace: shop, labels: "
                  "{kubernetes.io/service-name: " +
                  service + "}}, addressType: " + family + ", " + more + "}")));
    return *this;
  }
  World& Pod(const std::string& status) {
    inputs.pods.push_back(&trees.emplace_back(
        MakeValue("{kind: Pod, metadata: {name: p, namespace: shop}, status: {" + status + "}}")));
    return *this;
  }
  // All but the version's record.
  std::string Text() const {
    std::string out;
    for (const auto& [name, records] : MakeDnsRecords(inputs))
      for (const std::string& record : records)
        if (name != "dns-version.cluster.local.") out.append(name).append(" " + record + "\n");
    return out;
  }
};

TEST(DnsRecords, OfAServiceWithClusterIps) {
  EXPECT_EQ(World()
                .Service("web",
                         "clusterIP: 10.96.0.20, clusterIPs: [10.96.0.20, \"fd00:10:96::14\"], "
                         "ports: [{name: http, port: 80}, {port: 9}, {name: q, port: 53, "
                         "protocol: UDP}]")
                .Text(),
            "20.0.96.10.in-addr.arpa. PTR web.shop.svc.cluster.local.\n"
            "4.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. "
            "PTR web.shop.svc.cluster.local.\n"
            "_http._tcp.web.shop.svc.cluster.local. SRV 0 100 80 web.shop.svc.cluster.local.\n"
            "_q._udp.web.shop.svc.cluster.local. SRV 0 100 53 web.shop.svc.cluster.local.\n"
            "web.shop.svc.cluster.local. A 10.96.0.20\n"
            "web.shop.svc.cluster.local. AAAA fd00:10:96::14\n");
}

TEST(DnsRecords, OfAHeadlessService) {
  EXPECT_EQ(
      World()
          .Service("db", "clusterIP: None")
          .Slice("db", "IPv4",
                 "ports: [{name: sql, port: 5432, protocol: TCP}], endpoints: ["
                 "{addresses: [10.0.0.1], hostname: db-0, conditions: {ready: true}}, "
                 "{addresses: [10.0.0.2]}, {addresses: [10.0.0.3], conditions: {ready: false}}]")
          .Text(),
      "1.0.0.10.in-addr.arpa. PTR db-0.db.shop.svc.cluster.local.\n"
      "10-0-0-2.db.shop.svc.cluster.local. A 10.0.0.2\n"
      "2.0.0.10.in-addr.arpa. PTR 10-0-0-2.db.shop.svc.cluster.local.\n"
      "_sql._tcp.db.shop.svc.cluster.local. SRV 0 100 5432 "
      "10-0-0-2.db.shop.svc.cluster.local.\n"
      "_sql._tcp.db.shop.svc.cluster.local. SRV 0 100 5432 db-0.db.shop.svc.cluster.local.\n"
      "db-0.db.shop.svc.cluster.local. A 10.0.0.1\n"
      "db.shop.svc.cluster.local. A 10.0.0.1\n"
      "db.shop.svc.cluster.local. A 10.0.0.2\n");
}

TEST(DnsRecords, AHeadlessServiceWithoutReadyEndpointsHasNoName) {
  EXPECT_EQ(World().Service("db", "clusterIP: None").Text(), "");
}

TEST(DnsRecords, OfPodsExternalNamesAndHosts) {
  World world;
  world.Service("git", "type: ExternalName, externalName: Git.Example.")
      .Service("bad", "type: ExternalName, externalName: \"not a name\"")
      .Pod("phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: \"fd00::1\"}]")
      .Pod("phase: Failed, podIPs: [{ip: 10.0.0.9}]");
  world.inputs.hosts = *ParseHosts("# outside\n198.51.100.10 git.example www.example  # both\n\n");
  EXPECT_EQ(world.Text(),
            "10-0-0-1.shop.pod.cluster.local. A 10.0.0.1\n"
            "10.100.51.198.in-addr.arpa. PTR git.example.\n"
            "fd00--1.shop.pod.cluster.local. AAAA fd00::1\n"
            "git.example. A 198.51.100.10\n"
            "git.shop.svc.cluster.local. CNAME git.example.\n"
            "www.example. A 198.51.100.10\n");
}

TEST(DnsRecords, ANameWithACnameHasNothingElse) {
  World world;
  world.Service("git", "type: ExternalName, externalName: git.example");
  world.inputs.hosts = *ParseHosts("198.51.100.10 git.shop.svc.cluster.local");
  EXPECT_THAT(world.Text(), HasSubstr("git.shop.svc.cluster.local. CNAME git.example.\n"));
  EXPECT_THAT(world.Text(), testing::Not(HasSubstr("git.shop.svc.cluster.local. A ")));
}

TEST(DnsRecords, TextThatIsNoNameStaysOutOfTheZone) {
  World world;
  world.Service("web",
                "clusterIP: 10.96.0.20, ports: [{name: \"x. 5 A 1.2.3.4\\n$INCLUDE y\", port: 1}]");
  EXPECT_THAT(world.Text(), testing::Not(HasSubstr("INCLUDE")));
  EXPECT_FALSE(ParseHosts("198.51.100.10 $include").has_value());
  auto hosts = ParseHosts("ok\n");
  ASSERT_FALSE(hosts.has_value());
  EXPECT_THAT(hosts.error().message, HasSubstr("hosts, line 1"));
}

TEST(DnsRecords, TheZoneSaysItsSerial) {
  EXPECT_EQ(ZoneText({{"a.", {"A 10.0.0.1"}}}, "cluster.local", 7),
            "$TTL 5\n. SOA ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 5\n"
            ". NS ns.dns.cluster.local.\na. A 10.0.0.1\n");
}

TEST(DnsManifests, AreObjectsThatTheLabUnderstands) {
  DnsDeployment deployment;
  deployment.addresses =
      DnsAddresses({*net::Cidr::Parse("10.96.0.0/16"), *net::Cidr::Parse("fd00:10:96::/112")});
  EXPECT_EQ(deployment.addresses.at(1).ToString(), "fd00:10:96::a");
  deployment.hosts = *ParseHosts("198.51.100.10 git.example");
  ObjectSet objects = MakeObjects(DnsManifests(deployment));
  std::vector<std::string> kinds;
  for (const auto& [key, object] : objects) kinds.push_back(key.kind);
  EXPECT_THAT(kinds,
              testing::UnorderedElementsAre("ServiceAccount", "ClusterRole", "ClusterRoleBinding",
                                            "ConfigMap", "Service", "Deployment"));
  auto only = [&](const char* kind) -> const Value& {
    for (const auto& [key, object] : objects)
      if (key.kind == kind) return object.tree;
    return objects.begin()->second.tree;
  };
  EXPECT_EQ(TextAt(only("Service"), {"spec", "clusterIP"}), "10.96.0.10");
  EXPECT_THAT(TextAt(only("ConfigMap"), {"data", "hosts"}),
              HasSubstr("198.51.100.10 git.example\n"));
  const Value* containers = At(only("Deployment"), {"spec", "template", "spec", "containers"});
  EXPECT_THAT(Texts(Items(containers).at(0).Find("args")),
              testing::ElementsAre("--domain", "cluster.local", "--hosts", "/etc/coredns/hosts"));
}

}  // namespace
}  // namespace sallyport::lab

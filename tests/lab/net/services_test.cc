// SPDX-License-Identifier: Apache-2.0
// Services and names in a whole lab: what a pod, a node and the outside reach, and by which name.
#include <gmock/gmock.h>

#include <set>

#include "lab/lab/lab_fixture.h"

namespace sallyport::lab {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

struct Form {
  const char* name;
  const char* cni;
  const char* proxy;
};

class Services : public LabTest, public testing::WithParamInterface<Form> {
 protected:
  Services() : LabTest(std::string("spt-services-") + GetParam().proxy) {}

  // `db` pods have stable names behind a headless Service; `web` is in both families.
  void UpShop() {
    const std::string yaml = R"(
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  ipFamilyPolicy: RequireDualStack
  selector: {app: web}
  externalIPs: [203.0.113.80]
  ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i, ports: [{name: sql, containerPort: 5432}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: sql, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: git, namespace: shop}
spec: {type: ExternalName, externalName: git.example}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec: {containers: [{name: c, image: i, command: [sleep, infinity]}]}
)";
    ASSERT_EQ(
        Run({"lab", "up", "--no-agent", "--name", name(), "--cni", GetParam().cni, "--proxy",
             GetParam().proxy, "--hosts", File("198.51.100.10 git.example\n"), "-f", File(yaml)})
            .exit_code,
        0);
  }

  // Who answers, and whom it sees: "I am shop/web-1 at 10.0.1.5:8080/TCP; I see 10.0.2.7:41234".
  std::string Get(const std::string& pod, const std::string& url) {
    return Said(pod, {"curl", "-s", "-g", "-m", "10", url});
  }
  std::set<std::string> Answering(const std::string& url) {
    std::set<std::string> out;
    for (int i = 0; i < 40; ++i) {
      std::string text = Get("shop/client", url);
      out.insert(text.substr(0, text.find(" at ")));
    }
    return out;
  }
  std::string Dig(const std::string& question) {
    return Said("shop/client", {"sh", "-c", "dig +search +short " + question});
  }
};

INSTANTIATE_TEST_SUITE_P(Forms, Services,
                         testing::Values(Form{"Nftables", "ptp", "nftables"},
                                         Form{"Iptables", "bridge", "iptables"}),
                         [](const auto& form) { return form.param.name; });

TEST_P(Services, AreReachedByNameFromEverywhere) {
  UpShop();
  EXPECT_THAT(Answering("http://web/"), SizeIs(3));
  std::string v6 =
      Kube({"get", "svc", "-n", "shop", "web", "-o", "jsonpath={.spec.clusterIPs[1]}"});
  EXPECT_EQ(Dig("web AAAA"), v6);
  EXPECT_THAT(Get("shop/client", "http://[" + v6 + "]/"), StartsWith("I am shop/web-"));
  // Node ports, on each node, of whoever asks.
  for (const NodePlace& node : Read().nodes) {
    for (const net::Address& address : node.addresses) {
      std::string host = address.IsV4() ? address.ToString() : "[" + address.ToString() + "]";
      EXPECT_THAT(Get("shop/client", "http://" + host + ":30080/"), StartsWith("I am shop/web-"))
          << host;
    }
  }
  EXPECT_THAT(Get("shop/client", "http://203.0.113.80/"), StartsWith("I am shop/web-"));
}

TEST_P(Services, HaveTheNamesOfTheirKind) {
  UpShop();
  std::string first = Pod("shop", "db-0").addresses.at(0).ToString();
  std::string second = Pod("shop", "db-1").addresses.at(0).ToString();
  EXPECT_EQ(Dig("db-0.db"), first);
  EXPECT_EQ(Dig("db-1.db"), second);
  EXPECT_THAT(Dig("db"), testing::AllOf(HasSubstr(first), HasSubstr(second)));
  EXPECT_THAT(Dig("_sql._tcp.db SRV"), HasSubstr("0 100 5432 db-1.db.shop.svc.cluster.local."));
  EXPECT_EQ(Dig("-x " + first), "db-0.db.shop.svc.cluster.local.");
  EXPECT_EQ(Dig("git"), "git.example.\n198.51.100.10");
  EXPECT_THAT(Get("shop/client", "http://db-1.db:5432/"), StartsWith("I am shop/db-1 "));
  // They follow the cluster.
  Kube({"delete", "svc", "-n", "shop", "web"});
  Await("the name to be gone", [&] { return Dig("web").empty(); });
  Kube({"scale", "-n", "shop", "statefulset/db", "--replicas=1"});
  Await("the pod's name to be gone", [&] { return Dig("db-1.db").empty(); });
  EXPECT_EQ(Dig("db-0.db"), first);
}

TEST_P(Services, APodReachesItselfThroughItsService) {
  UpShop();
  Kube({"scale", "-n", "shop", "deploy/web", "--replicas=1"});
  Kube({"wait", "-n", "shop", "--for=jsonpath={.status.replicas}=1", "deploy/web"});
  std::string pod = "shop/" + Kube({"get", "pod", "-n", "shop", "-l", "app=web", "-o",
                                    "jsonpath={.items[0].metadata.name}"});
  std::string vip = Kube({"get", "svc", "-n", "shop", "web", "-o", "jsonpath={.spec.clusterIP}"});
  Await("one endpoint", [&] { return Answering("http://web/").size() == 1; });
  Command command;
  command.argv = {FindProgram("curl", kStandardPath), "-s", "-m", "10", "http://" + vip + "/"};
  command.env = EnvironmentWith({});
  command.netns = Pod("shop", pod.substr(5)).netns_path;
  auto hairpin = RunCommand(command);
  ASSERT_TRUE(hairpin.has_value());
  EXPECT_THAT(hairpin->output, StartsWith("I am " + pod + " "));
}

}  // namespace
}  // namespace sallyport::lab

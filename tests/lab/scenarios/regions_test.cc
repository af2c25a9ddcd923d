// SPDX-License-Identifier: Apache-2.0
// two-regions: two clusters routed to each other, and policies that come by GitOps.
#include <gmock/gmock.h>

#include "lab/scenarios/scenario_fixture.h"

namespace sallyport::lab {
namespace {

using testing::Each;
using testing::StartsWith;

constexpr int kTimedOut = 28;

class TwoRegions : public ScenarioTest {
 protected:
  const std::string& eu() const { return name(); }
  std::string us() const { return SecondName(); }

  void Make() {
    ASSERT_NO_FATAL_FAILURE(UpRegion(eu(), "eu-west9", "192.168.0.0/18", "10.0.0.0/20",
                                     {"--outside-address", "10.129.0.7", "198.51.100.22"}));
    ASSERT_NO_FATAL_FAILURE(
        UpRegion(us(), "us-east1", "192.168.128.0/18", "10.1.0.0/20", {"--peer", eu()}));
    for (auto [lab, region] : {std::pair{eu(), "eu-west9"}, std::pair{us(), "us-east1"}}) {
      Kube({"apply", "-k", Region(region)}, lab);
      for (std::string ns : {"foobar", "storefront", "load-test", "flux-system"}) {
        std::string deployment = Kube({"-n", ns, "get", "deployment", "-o", "name"}, lab);
        Kube({"-n", ns, "rollout", "status", deployment, "--timeout=60s"}, lab);
      }
    }
  }
  std::string Region(const std::string& region) const { return Scenario("two-regions/" + region); }
  std::string ApiOf(const std::string& lab) {
    return "https://" + AddressOf(PodsOf("foobar", "app=foobar-api", lab).at(0), lab) + ":8443/";
  }
  // curl's exit code, from a pod to a URL.
  int Curl(const std::string& lab, const std::string& pod, const std::string& url) {
    return Sh(pod, "curl -sSk -m 2 " + url, lab).exit_code;
  }

 private:
  void UpRegion(const std::string& lab, const std::string& region, const std::string& pods,
                const std::string& nodes, const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--pod-cidr",      pods,          "--service-cidr",
                                        "192.168.64.0/18", "--node-cidr", nodes};
    options.insert(options.end(), more.begin(), more.end());
    UpScenario({Scenario("two-regions/lab/" + region + ".yaml")}, options, lab);
  }
};

TEST_F(TwoRegions, TheOtherRegionsPodsButForItsTests) {
  ASSERT_NO_FATAL_FAILURE(Make());
  for (auto [here, there] : {std::pair{eu(), us()}, std::pair{us(), eu()}}) {
    std::string web = PodsOf("storefront", "app=web", here).at(0);
    std::string load = PodsOf("load-test", "app=load", here).at(0);
    EXPECT_EQ(Curl(here, web, ApiOf(there)), 0);
    EXPECT_EQ(Curl(here, load, ApiOf(there)), kTimedOut);
    EXPECT_EQ(Curl(here, web, ApiOf(here)), kTimedOut);
    EXPECT_EQ(Curl(here, web, "https://foobar-api.foobar/"), kTimedOut);

    std::string flux = PodsOf("flux-system", "app=flux", here).at(0);
    EXPECT_EQ(Curl(here, flux, "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version"),
              0);
    EXPECT_EQ(Curl(here, flux, "http://" + AddressOf(web, here) + "/"), kTimedOut);
    EXPECT_EQ(Curl(here, web, "http://" + AddressOf(flux, here) + ":9440/"), kTimedOut);
  }
  std::string flux = PodsOf("flux-system", "app=flux").at(0);
  EXPECT_EQ(Reach(flux, "git.example", 22), "refused");
  EXPECT_EQ(Reach(flux, "git.example", 443), "blocked");
}

// The load balancer's connection, through a node's port 443 to the pod's 8443.
TEST_F(TwoRegions, TheLoadBalancer) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string pod = PodsOf("foobar", "app=foobar-api").at(0);
  std::string node = Kube({"-n", "foobar", "get", "pod", pod.substr(pod.find('/') + 1), "-o",
                           "jsonpath={.status.hostIP}"});
  std::string port = Kube(
      {"-n", "foobar", "get", "service", "foobar-api", "-o", "jsonpath={.spec.ports[0].nodePort}"});
  auto get = [&](const std::string& from) {
    return Sh("--outside", "curl -sSk -m 2 --interface " + from + " https://" + node + ":" + port);
  };
  EXPECT_THAT(get("10.129.0.7").output, StartsWith("foobar-api "));
  EXPECT_EQ(get("198.51.100.22").exit_code, kTimedOut);
}

// What Flux does all day: the same again, in another order, and without what has left. Nobody who
// is let in feels it, and nobody else gets in.
TEST_F(TwoRegions, PoliciesAreAppliedAgainReorderedAndPruned) {
  ASSERT_NO_FATAL_FAILURE(Make());
  std::string url = ApiOf(eu());
  Traffic let_in(
      us(), PodsOf("storefront", "app=web", us()).at(0),
      "while :; do curl -sSk -m 3 -o /dev/null -w '%{http_code}\\n' " + url + " 2>&1; done",
      TrafficLog());
  Traffic kept_out(us(), PodsOf("load-test", "app=load", us()).at(0),
                   "while :; do curl -sSk -m 0.5 -o /dev/null -w '%{http_code}\\n' " + url +
                       " 2>/dev/null; done",
                   TrafficLog());
  auto feel_nothing = [&] {
    let_in.AwaitMore(5);
    kept_out.AwaitMore(2);
  };
  feel_nothing();

  Kube({"apply", "-k", Region("eu-west9")});
  feel_nothing();

  // The documents of both files, last first, and one that will leave again.
  std::string rendered = Kube({"kustomize", Region("eu-west9")});
  std::string reordered;
  for (size_t end = rendered.size();;) {
    size_t start = rendered.rfind("\n---\n", end - 1);
    bool is_first = start == std::string::npos;
    size_t from = is_first ? 0 : start + 5;
    reordered += rendered.substr(from, end - from) + "\n---\n";
    if (is_first) break;
    end = start;
  }
  reordered +=
      "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: leaves, namespace: "
      "foobar, labels: {app.kubernetes.io/part-of: two-regions}}, spec: {podSelector: {}, "
      "policyTypes: [Egress], egress: [{ports: [{port: 9}]}]}}\n";
  Kube({"apply", "-f", File(reordered)});
  feel_nothing();

  // Renamed in later versions of kubectl.
  bool renamed = Kube({"apply", "--help"}).find("--prune-allowlist") != std::string::npos;
  Kube({"apply", "-k", Region("eu-west9"), "--prune", "-l", "app.kubernetes.io/part-of=two-regions",
        renamed ? "--prune-allowlist" : "--prune-whitelist", "networking.k8s.io/v1/NetworkPolicy"});
  EXPECT_EQ(Kube({"-n", "foobar", "get", "networkpolicy", "-o", "name"}),
            "networkpolicy.networking.k8s.io/dns-only\n"
            "networkpolicy.networking.k8s.io/foobar-api");
  feel_nothing();
  let_in.Stop();
  kept_out.Stop();
  EXPECT_THAT(let_in.Lines(), Each(std::string("200")));
  EXPECT_THAT(kept_out.Lines(), Each(std::string("000")));
}

}  // namespace
}  // namespace sallyport::lab

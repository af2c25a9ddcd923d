// SPDX-License-Identifier: Apache-2.0
// The API server as a process, driven by the real kubectl ($PATH's): what a user types and reads.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "kube/client.h"
#include "lab/process.h"
#include "support/places.h"
#include "support/temporary.h"

namespace sallyport::apiserver {
namespace {

using lab::Command;

std::string Tool() {
  const char* given = getenv("SALLYPORT");
  return given ? given : test::InBuild("tools/cli/sallyport");
}

class KubectlTest : public testing::Test {
 protected:
  void SetUp() override {
    (void)signal(SIGPIPE, SIG_IGN);  // of connections that the server closed
    Start();
  }
  void TearDown() override { Kill(SIGKILL); }

  std::string Kubeconfig() const { return directory_ / "data/admin.kubeconfig"; }

  // Waits until it listens.
  void Start(const std::vector<std::string>& more = {}) {
    std::filesystem::remove(Kubeconfig());
    Command command;
    command.argv = {Tool(),     "lab",        "run", "apiserver", "--data", directory_ / "data",
                    "--listen", "127.0.0.1:0"};
    command.argv.insert(command.argv.end(), more.begin(), more.end());
    command.log = directory_ / "log";
    auto pid = lab::StartDaemon(command);
    ASSERT_TRUE(pid) << pid.error().message;
    pid_ = *pid;
    while (!std::filesystem::exists(Kubeconfig())) {
      ASSERT_TRUE(lab::IsAlive(pid_)) << "the API server ended";
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void Kill(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    while (lab::IsAlive(pid_)) {
      (void)waitpid(pid_, nullptr, WNOHANG);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    pid_ = -1;
  }

  // Output and errors of a shell command with `kubectl` at hand, and "[N]" where it failed.
  std::string Sh(const std::string& line) {
    Command command;
    command.argv = {"/bin/sh", "-c",
                    "cd " + directory_.path() + "; export PATH=" + getenv("PATH") +
                        " HOME=" + directory_.path() + " KUBECONFIG=" + Kubeconfig() +
                        " KUBE_EDITOR='sed -i s/blue/green/'; exec 2>&1; " + line};
    auto done = lab::RunCommand(command);
    if (!done) return done.error().message;
    return done->output + (done->exit_code == 0 ? "" : "[" + std::to_string(done->exit_code) + "]");
  }
  std::string K(const std::string& arguments) { return Sh("kubectl " + arguments); }
  void File(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(directory_ / name).parent_path());
    directory_.Write(name, text);
  }

  test::TemporaryDirectory directory_;
  pid_t pid_ = -1;
};

constexpr const char* kWeb = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: nginx, env: [{name: COLOR, value: blue}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {part: shop}}
spec: {selector: {app: web}, clusterIP: 10.96.5.5, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {part: shop}}
data: {a: "1"}
)";

TEST_F(KubectlTest, Apply) {
  File("web.yaml", kWeb);
  EXPECT_EQ(K("apply -f web.yaml"),
            "deployment.apps/web created\nservice/web created\nconfigmap/settings created\n");
  EXPECT_EQ(K("apply -f web.yaml"),
            "deployment.apps/web unchanged\nservice/web unchanged\nconfigmap/settings unchanged\n");
  Sh("sed -i 's/blue/red/; s/replicas: 2/replicas: 3/' web.yaml");
  std::string diff = K("diff -f web.yaml");
  EXPECT_NE(diff.find("-          value: blue\n+          value: red\n"), std::string::npos)
      << diff;
  EXPECT_NE(diff.find("[1]"), std::string::npos);
  EXPECT_EQ(K("apply --dry-run=server -f web.yaml"),
            "deployment.apps/web configured (server dry run)\nservice/web unchanged (server dry "
            "run)\nconfigmap/settings unchanged (server dry run)\n");
  EXPECT_EQ(K("get deploy web -o jsonpath='{.spec.replicas}'"), "2");
  EXPECT_EQ(
      K("apply -f web.yaml"),
      "deployment.apps/web configured\nservice/web unchanged\nconfigmap/settings unchanged\n");
  EXPECT_EQ(K("get deploy web -o jsonpath='{.spec.replicas} {.metadata.generation}'"), "3 2");
  EXPECT_EQ(K("diff -f web.yaml"), "");
  // What is taken out of the file is taken out of the object.
  Sh("sed -i 's/, env:.*}]}/}/' web.yaml");
  K("apply -f web.yaml");
  EXPECT_EQ(K("get deploy web -o jsonpath='{.spec.template.spec.containers[0].env}'"), "");
  EXPECT_EQ(K("delete -f web.yaml"),
            "deployment.apps \"web\" deleted\nservice \"web\" deleted\n"
            "configmap \"settings\" deleted\n");
  EXPECT_EQ(K("get deploy,configmap"), "No resources found in default namespace.\n");
}

TEST_F(KubectlTest, KustomizeAndPrune) {
  File("k/web.yaml", kWeb);
  File("k/kustomization.yaml", "namespace: shop\nresources: [web.yaml, ns.yaml]\n");
  File("k/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
  std::string applied = K("apply -k k");
  EXPECT_NE(applied.find("namespace/shop created\n"), std::string::npos) << applied;
  EXPECT_EQ(K("-n shop get deploy -o name"), "deployment.apps/web\n");
  File("one.yaml",
       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: shop, labels: "
       "{part: shop}}\n");
  std::string pruned = K("-n shop apply --prune -l part=shop -f one.yaml");
  EXPECT_NE(pruned.find("configmap/one created\n"), std::string::npos) << pruned;
  EXPECT_NE(pruned.find("configmap/settings pruned\n"), std::string::npos) << pruned;
  EXPECT_NE(pruned.find("service/web pruned\n"), std::string::npos) << pruned;
  EXPECT_EQ(K("-n shop get svc,cm -o name"), "configmap/one\n");
  EXPECT_EQ(K("delete ns shop"), "namespace \"shop\" deleted\n");
  EXPECT_EQ(K("get ns shop"), "Error from server (NotFound): namespaces \"shop\" not found\n[1]");
}

TEST_F(KubectlTest, GetAndDescribe) {
  File("web.yaml", kWeb);
  K("apply -f web.yaml");
  EXPECT_EQ(Sh("kubectl get svc web | sed 's/ [^ ]*$/ AGE/'"),
            "NAME   TYPE        CLUSTER-IP   EXTERNAL-IP   PORT(S)   AGE\n"
            "web    ClusterIP   10.96.5.5    <none>        80/TCP    AGE\n");
  EXPECT_EQ(K("get svc web --no-headers -o custom-columns=N:.metadata.name,P:.spec.ports[0].port"),
            "web   80\n");
  EXPECT_EQ(K("get cm -l part=shop -o name"), "configmap/settings\n");
  EXPECT_EQ(K("get cm --field-selector metadata.name=settings -o name"), "configmap/settings\n");
  std::string wide = K("get deploy -o wide");
  for (const char* text : {"READY", "CONTAINERS", "0/2", "nginx", "app=web"})
    EXPECT_NE(wide.find(text), std::string::npos) << text << wide;
  std::string described = K("describe deploy web");
  EXPECT_NE(described.find("Replicas:               2 desired | 0 updated"), std::string::npos)
      << described;
  EXPECT_NE(K("describe svc web").find("TargetPort:"), std::string::npos);
  EXPECT_NE(K("get deploy web -o yaml").find("progressDeadlineSeconds: 600"), std::string::npos);
  EXPECT_EQ(K("get dogs"), "error: the server doesn't have a resource type \"dogs\"\n[1]");
  EXPECT_NE(K("api-resources --api-group=networking.k8s.io").find("netpol"), std::string::npos);
  EXPECT_NE(K("version").find("v1.30.0+sallyport-lab"), std::string::npos);
  EXPECT_EQ(K("auth can-i create deployments"), "yes\n");
}

TEST_F(KubectlTest, Change) {
  File("web.yaml", kWeb);
  K("apply -f web.yaml");
  EXPECT_EQ(K("scale deploy web --replicas=5"), "deployment.apps/web scaled\n");
  EXPECT_EQ(K("get deploy web -o jsonpath='{.spec.replicas}'"), "5");
  EXPECT_EQ(K("label cm settings tier=x"), "configmap/settings labeled\n");
  // "labeled" in older ones
  EXPECT_NE(K("label cm settings tier-").find("labeled\n"), std::string::npos);
  EXPECT_EQ(K("annotate cm settings note=1"), "configmap/settings annotated\n");
  EXPECT_EQ(K("patch cm settings --type=merge -p '{\"data\":{\"a\":\"2\"}}'"),
            "configmap/settings patched\n");
  EXPECT_EQ(K("patch cm settings --type=json -p "
              "'[{\"op\":\"replace\",\"path\":\"/data/a\",\"value\":\"3\"}]'"),
            "configmap/settings patched\n");
  EXPECT_EQ(K("patch deploy web -p '{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":"
              "\"two\",\"image\":\"i\"}]}}}}'"),
            "deployment.apps/web patched\n");
  EXPECT_EQ(K("get deploy web -o jsonpath='{.spec.template.spec.containers[*].name}'"), "two web");
  EXPECT_EQ(K("edit deploy web"), "deployment.apps/web edited\n");
  EXPECT_NE(K("get deploy web -o yaml").find("value: green"), std::string::npos);
  EXPECT_EQ(K("set image deploy/web web=nginx:2"), "deployment.apps/web image updated\n");
  EXPECT_EQ(K("create cm settings"),
            "error: failed to create configmap: configmaps \"settings\" already exists\n[1]");
}

TEST_F(KubectlTest, WaitAndDelete) {
  K("create ns shop");
  K("-n shop run one --image=i");
  EXPECT_EQ(K("-n shop wait --for=condition=Ready pod/one --timeout=0s").find(" condition met"),
            std::string::npos);
  // While one waits, another makes it true.
  std::string both =
      Sh("kubectl -n shop wait --for=condition=Ready pod/one --timeout=60s & "
         "kubectl -n shop get --raw /api/v1/namespaces/shop/pods/one >pod.json; "
         "sed 's/\"phase\":\"Pending\"/\"phase\":\"Running\",\"conditions\":[{\"type\":"
         "\"Ready\",\"status\":\"True\"}]/' pod.json >ready.json; "
         "kubectl replace --raw /api/v1/namespaces/shop/pods/one/status -f ready.json "
         ">/dev/null; wait");
  EXPECT_EQ(both, "pod/one condition met\n");
  EXPECT_EQ(K("-n shop get pod one --no-headers -o custom-columns=P:.status.phase"), "Running\n");
  EXPECT_EQ(K("-n shop delete pod one"), "pod \"one\" deleted\n");
  K("-n shop run two --image=i");
  std::string gone =
      Sh("kubectl -n shop wait --for=delete pod/two --timeout=60s & "
         "kubectl -n shop delete pod two >/dev/null; wait; echo gone");
  EXPECT_NE(gone.find("gone\n"), std::string::npos) << gone;
  EXPECT_EQ(K("-n shop delete pod two"),
            "Error from server (NotFound): pods \"two\" not found\n[1]");
}

TEST_F(KubectlTest, Mistakes) {
  File("bad.yaml",
       "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: bad}\n"
       "spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}], "
       "ports: [{port: 99999}]}]}\n");
  std::string said = K("apply -f bad.yaml");
  EXPECT_NE(said.find("The NetworkPolicy \"bad\" is invalid:"), std::string::npos) << said;
  EXPECT_NE(
      said.find("* spec.ingress[0].ports[0].port: Invalid value: 99999: must be between 1 and "
                "65535, inclusive"),
      std::string::npos)
      << said;
  File("typo.yaml",
       "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n"
       "spec: {containers: [{name: a, image: b}], hostNetwrok: true}\n");
  // Newer ones ask the server for it; older ones know no schema here and let it pass.
  std::string typo = K("apply -f typo.yaml");
  EXPECT_TRUE(typo.find("unknown field \"spec.hostNetwrok\"") != std::string::npos ||
              typo == "pod/p created\n")
      << typo;
}

TEST_F(KubectlTest, CustomKinds) {
  File("crd.yaml", R"(apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gates.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: gates, singular: gate, kind: Gate, shortNames: [gt]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer, minimum: 1}}}}
)");
  File("gate.yaml",
       "apiVersion: example.com/v1\nkind: Gate\nmetadata: {name: g}\n"
       "spec: {size: 3}\n");
  EXPECT_EQ(K("apply -f crd.yaml"),
            "customresourcedefinition.apiextensions.k8s.io/gates.example.com created\n");
  EXPECT_EQ(K("wait --for=condition=Established crd/gates.example.com --timeout=60s"),
            "customresourcedefinition.apiextensions.k8s.io/gates.example.com condition met\n");
  EXPECT_EQ(K("apply -f gate.yaml"), "gate.example.com/g created\n");
  EXPECT_EQ(K("get gt"), "NAME   SIZE\ng      3\n");
  Sh("sed -i 's/size: 3/size: 4/' gate.yaml");
  EXPECT_EQ(K("apply -f gate.yaml"), "gate.example.com/g configured\n");
  EXPECT_NE(K("patch gate g --type=merge -p '{\"spec\":{\"size\":0}}'")
                .find("spec.size in body should be greater than or equal to 1"),
            std::string::npos);
}

constexpr const char* kGateway = R"(apiVersion: sallyport.io/v1alpha1
kind: EgressGateway
metadata: {name: partner-api}
spec:
  egressIPs: [203.0.113.10, "2001:db8:ffff::10"]
  pods: {podSelector: {matchLabels: {app: web}}}
  destinations: {cidrs: [198.51.100.0/24]}
  gateways: {nodeSelector: {matchLabels: {egress: "yes"}}}
)";

TEST_F(KubectlTest, EgressGateways) {
  const std::string definition = test::InSources("daemonset/egressgateways.yaml");
  EXPECT_EQ(K("apply -f " + definition),
            "customresourcedefinition.apiextensions.k8s.io/egressgateways.sallyport.io created\n");
  EXPECT_EQ(K("apply -f " + definition),
            "customresourcedefinition.apiextensions.k8s.io/egressgateways.sallyport.io "
            "unchanged\n");
  File("egw.yaml", kGateway);
  EXPECT_EQ(K("apply -f egw.yaml"), "egressgateway.sallyport.io/partner-api created\n");
  EXPECT_EQ(K("apply -f egw.yaml"), "egressgateway.sallyport.io/partner-api unchanged\n");
  EXPECT_EQ(K("get egw partner-api -o jsonpath='{.spec.portBlockSize}'"), "1024");
  EXPECT_EQ(Sh("kubectl get egw | sed 's/[0-9]*s$/AGE/'"),
            "NAME          EGRESS IPS                             READY   NODES   AGE\n"
            "partner-api   [\"203.0.113.10\",\"2001:db8:ffff::10\"]                   AGE\n");
  EXPECT_EQ(
      K("patch egw partner-api --subresource=status --type=merge -p "
        "'{\"spec\":{\"portBlockSize\":64},\"status\":{\"conditions\":[{\"type\":\"Ready\","
        "\"status\":\"True\",\"reason\":\"Held\",\"message\":\"\",\"lastTransitionTime\":"
        "\"2026-01-02T03:04:05Z\"}],\"addresses\":[{\"ip\":\"203.0.113.10\",\"node\":\"n1\"}]}}'"),
      "egressgateway.sallyport.io/partner-api patched\n");
  EXPECT_EQ(Sh("kubectl get egw --no-headers | sed 's/[0-9]*s$/AGE/'"),
            "partner-api   [\"203.0.113.10\",\"2001:db8:ffff::10\"]   True   n1    AGE\n");
  EXPECT_EQ(K("get egw partner-api -o jsonpath='{.metadata.generation} {.spec.portBlockSize}'"),
            "1 1024");
  EXPECT_EQ(K("wait --for=condition=Ready egw/partner-api --timeout=0s"),
            "egressgateway.sallyport.io/partner-api condition met\n");
  for (auto [change, said] :
       {std::pair("s/203.0.113.10/gateway/", "spec.egressIPs[0]: Invalid value: \"gateway\""),
        std::pair("s/198.51.100.0.24/198.51.100.1/", "must be of type cidr: \"198.51.100.1\""),
        std::pair("s/egressIPs:/portBlockSize: 1000\\n  egressIPs:/",
                  "spec.portBlockSize: Unsupported value: \"1000\""),
        std::pair("s/destinations:/destination:/", "unknown field \"spec.destination\"")}) {
    std::string refused =
        Sh("sed '" + std::string(change) + "' egw.yaml >bad.yaml; " + "kubectl apply -f bad.yaml");
    EXPECT_NE(refused.find(said), std::string::npos) << change << refused;
  }
  for (auto [field, said] :
       {std::pair("egw", "Gives pods a static address"),
        std::pair("egw.spec", "egressIPs\t<[]string> -required-"),
        std::pair("egw.spec.pods.podSelector.matchExpressions", "-required-"),
        std::pair("egw.spec.destinations", "that is not the cluster"),
        std::pair("egw.spec.gateways.interface", "The interface of the gateways"),
        std::pair("egw.status.addresses", "The node that holds it")}) {
    std::string explained = K("explain " + std::string(field));
    EXPECT_NE(explained.find(said), std::string::npos) << field << explained;
  }
}

TEST_F(KubectlTest, Leases) {
  File("lease.yaml",
       "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: block, labels: {a: b}}\n"
       "spec: {holderIdentity: n1, leaseDurationSeconds: 60, renewTime: "
       "\"2026-01-02T03:04:05.000000Z\"}\n");
  EXPECT_EQ(K("create -f lease.yaml"), "lease.coordination.k8s.io/block created\n");
  EXPECT_EQ(K("create -f lease.yaml"),
            "Error from server (AlreadyExists): error when creating \"lease.yaml\": "
            "leases.coordination.k8s.io \"block\" already exists\n[1]");
  EXPECT_EQ(K("get lease -l a=b --no-headers -o custom-columns=H:.spec.holderIdentity"), "n1\n");
  K("get lease block -o yaml >read.yaml");
  EXPECT_EQ(K("patch lease block --type=merge -p '{\"spec\":{\"holderIdentity\":\"n2\"}}'"),
            "lease.coordination.k8s.io/block patched\n");
  std::string stale = K("replace -f read.yaml");
  EXPECT_NE(stale.find("(Conflict)"), std::string::npos) << stale;
  EXPECT_NE(stale.find("the object has been modified"), std::string::npos) << stale;
  K("get lease block -o yaml >read.yaml");
  EXPECT_EQ(K("replace -f read.yaml"), "lease.coordination.k8s.io/block replaced\n");
  EXPECT_EQ(K("delete lease block"), "lease.coordination.k8s.io \"block\" deleted\n");
}

TEST_F(KubectlTest, AfterKillEverythingIsThere) {
  File("web.yaml", kWeb);
  K("apply -f web.yaml");
  std::string before = K("get deploy,svc,cm -o yaml");
  Kill(SIGKILL);
  EXPECT_NE(K("get svc --request-timeout=5s").find("[1]"), std::string::npos);
  Start();
  EXPECT_EQ(K("get deploy,svc,cm -o yaml"), before);
}

// The shutting down and the watches of a real API server, by a client that reads every byte.
TEST_F(KubectlTest, SigtermEndsWatchesCleanly) {
  auto access = kube::ReadKubeconfig(Kubeconfig());
  ASSERT_TRUE(access) << access.error().message;
  auto client = kube::Client::Create(*access);
  ASSERT_TRUE(client) << client.error().message;
  std::string seen;
  kube::StreamEvents events;
  events.opened = [&] { kill(pid_, SIGTERM); };
  events.bytes = [&](std::string_view bytes) {
    seen += bytes;
    return true;
  };
  kube::Request request;
  request.path = "/api/v1/namespaces?watch=true";
  auto done = (*client)->Stream(request, events, std::chrono::seconds(60));
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->status, 200);
  EXPECT_NE(seen.find("\"kube-system\""), std::string::npos);
  while (lab::IsAlive(pid_)) {
    (void)waitpid(pid_, nullptr, WNOHANG);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_FALSE((*client)->Send({.method = "GET", .path = "/version"}));
}

TEST_F(KubectlTest, WhoIsWhoAndHowMuch) {
  auto access = kube::ReadKubeconfig(Kubeconfig());
  ASSERT_TRUE(access);
  kube::Access anonymous = *access;
  anonymous.client_certificate_pem = anonymous.client_key_pem = "";
  auto status = [](const kube::Access& who, const kube::Request& request) {
    auto client = kube::Client::Create(who);
    if (!client) return -1;
    auto answer = (*client)->Send(request);
    return answer ? answer->status : -2;
  };
  kube::Request list;
  list.path = "/api/v1/pods";
  EXPECT_EQ(status(*access, list), 200);
  EXPECT_EQ(status(anonymous, list), 403);
  anonymous.token = "nobody";
  EXPECT_EQ(status(anonymous, list), 401);
  std::ifstream(directory_ / "data/admin.token") >> anonymous.token;
  EXPECT_EQ(status(anonymous, list), 200);
  kube::Request big;
  big.method = "POST";
  big.path = "/api/v1/namespaces/default/configmaps";
  big.body = R"({"metadata":{"name":"big"},"data":{"a":")" + std::string(4u << 20, 'x') + "\"}}";
  EXPECT_EQ(status(*access, big), 413);
}

}  // namespace
}  // namespace sallyport::apiserver

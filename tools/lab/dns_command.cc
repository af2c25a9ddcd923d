// SPDX-License-Identifier: Apache-2.0
#include "lab/dns_command.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <utility>

#include "kube/access.h"
#include "kube/client.h"
#include "lab/cluster_watch.h"
#include "lab/dns_server.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

constexpr auto kLookAfterServer = std::chrono::seconds(1);

struct Words {
  std::string kubeconfig;
  std::string hosts;
  DnsServerOptions server{.directory = "/run/dns"};
};

std::vector<const Value*> All(const Cluster::Objects& objects) {
  std::vector<const Value*> out;
  for (const auto& [name, object] : objects) out.push_back(object.get());
  return out;
}

class ClusterDns {
 public:
  ClusterDns(kube::Client& client, std::vector<DnsHost> hosts, const DnsServerOptions& options)
      : hosts_(std::move(hosts)),
        domain_(options.domain),
        server_(options),
        watch_(client,
               {{"Service", ""},
                {"EndpointSlice", ""},
                {"Pod", "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"}},
               [this] { Ring(); }) {}

  // Returns when the server has ended or cannot be told: the container is started again then.
  Status Run() {
    for (;;) {
      bool changed = Wait();
      if (!watch_.synced()) {
        if (std::string trouble = watch_.Trouble(); !trouble.empty() && trouble != said_)
          std::fprintf(stderr, "dns: %s\n", (said_ = trouble).c_str());
        continue;
      }
      if (Status served = changed ? Serve() : server_.Check(); !served) return served;
      if (!std::exchange(answering_, true)) std::fprintf(stderr, "dns: answering\n");
    }
  }

 private:
  void Ring() {
    {
      std::lock_guard lock(mutex_);
      changed_ = true;
    }
    bell_.notify_all();
  }
  // True after news; else it is time to look after the server.
  bool Wait() {
    std::unique_lock lock(mutex_);
    bell_.wait_for(lock, kLookAfterServer, [this] { return changed_; });
    return std::exchange(changed_, false);
  }
  Status Serve() {
    Cluster cluster = watch_.Now();
    DnsInputs inputs{All(cluster.Of("Service")), All(cluster.Of("EndpointSlice")),
                     All(cluster.Of("Pod")), hosts_, domain_};
    return server_.Serve(MakeDnsRecords(inputs));
  }

  std::vector<DnsHost> hosts_;
  std::string domain_;
  DnsServer server_;
  std::string said_;
  bool answering_ = false;
  std::mutex mutex_;
  std::condition_variable bell_;
  bool changed_ = false;
  ClusterWatch watch_;  // the last: it rings
};

Status RunDns(const Words& words) {
  // A connection that ends while it is written to is an error like others.
  signal(SIGPIPE, SIG_IGN);
  std::vector<DnsHost> hosts;
  if (!words.hosts.empty()) {
    auto text = ReadFile(words.hosts);
    if (!text) return std::move(text).error();
    auto parsed = ParseHosts(*text);
    if (!parsed) return std::move(parsed).error().Context(words.hosts);
    hosts = *std::move(parsed);
  }
  auto access =
      words.kubeconfig.empty() ? kube::InClusterAccess() : kube::ReadKubeconfig(words.kubeconfig);
  if (!access) return std::move(access).error();
  auto client = kube::Client::Create(*std::move(access));
  if (!client) return std::move(client).error();
  return ClusterDns(**client, std::move(hosts), words.server).Run();
}

}  // namespace

void AddDnsCommand(CLI::App& lab, int* exit_code) {
  auto words = std::make_shared<Words>();
  CLI::App* command = lab.add_subcommand("dns", "Answer for a cluster's names");
  command->group("");
  command->add_option("--kubeconfig", words->kubeconfig,
                      "How to reach the API server (default: as a pod does)");
  command->add_option("--domain", words->server.domain, "The cluster's domain");
  command->add_option("--hosts", words->hosts, "File like /etc/hosts: names outside the cluster");
  command->add_option("--listen", words->server.listen, "ADDRESS@PORT, several times");
  command->add_option("--directory", words->server.directory, "Where the server keeps its files");
  command->callback([words, exit_code] {
    Status ended = RunDns(*words);
    std::fprintf(stderr, "dns: %s\n", ended.error().message.c_str());
    *exit_code = 2;
  });
}

}  // namespace sallyport::lab

// SPDX-License-Identifier: Apache-2.0
#include "lab/dns_command.h"

#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "kube/access.h"
#include "kube/client.h"
#include "lab/cluster_watch.h"
#include "lab/dns_server.h"
#include "lab/files.h"

namespace sallyport::lab {
namespace {

constexpr auto kLookAfterServer = std::chrono::seconds(1);
constexpr int kRest = 1;

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
  // However fast the cluster changes, this takes half a processor at most.
  Status Serve() {
    std::this_thread::sleep_until(next_);
    auto begun = std::chrono::steady_clock::now();
    Status served = ServeNow();
    auto ended = std::chrono::steady_clock::now();
    next_ = ended + kRest * (ended - begun);
    return served;
  }
  Status ServeNow() {
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
  MonotonicTime next_{};
  std::mutex mutex_;
  std::condition_variable bell_;
  bool changed_ = false;
  ClusterWatch watch_;  // the last: it rings
};

}  // namespace

Status RunDns(const DnsProcess& options) {
  // A connection that ends while it is written to is an error like others.
  signal(SIGPIPE, SIG_IGN);
  std::vector<DnsHost> hosts;
  if (!options.hosts.empty()) {
    auto text = ReadFile(options.hosts);
    if (!text) return std::move(text).error();
    auto parsed = ParseHosts(*text);
    if (!parsed) return std::move(parsed).error().Context(options.hosts);
    hosts = *std::move(parsed);
  }
  auto access = options.kubeconfig.empty() ? kube::InClusterAccess()
                                           : kube::ReadKubeconfig(options.kubeconfig);
  if (!access) return std::move(access).error();
  auto client = kube::Client::Create(*std::move(access));
  if (!client) return std::move(client).error();
  return ClusterDns(**client, std::move(hosts), options.server).Run();
}

}  // namespace sallyport::lab

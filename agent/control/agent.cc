// SPDX-License-Identifier: Apache-2.0
#include "control/agent.h"

#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "control/api_source.h"
#include "control/doorkeeper.h"
#include "control/egress_loop.h"
#include "control/egress_views.h"
#include "control/left_alone.h"
#include "control/reconcile_loop.h"
#include "control/serial_dataplane.h"
#include "dataplane/dataplane.h"
#include "endpoint/cni_watch.h"
#include "endpoint/link_watch.h"
#include "endpoint/resolver.h"
#include "gateway/tunnel_device.h"
#include "gateway/uplink.h"
#include "observe/exporter.h"
#include "observe/server.h"
#include "observe/web.h"
#include "watch/manifest_directory.h"

namespace sallyport::control {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Waits, but not longer than until the thread shall stop.
void Pause(const std::stop_token& stop, Duration time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, time, [] { return false; });
}

void FollowDrops(const std::stop_token& stop, dataplane::Dataplane& dataplane,
                 ReconcileLoop& loop) {
  bool failing = false;
  while (!stop.stop_requested()) {
    Status status = dataplane.PollEvents(
        milliseconds(200), [&loop](const dataplane::DropEvent& event) { loop.Push(event); });
    if (!status && !failing) LogError("reading drop events: " + status.error().message);
    failing = !status;
    if (failing) Pause(stop, seconds(1));
  }
}

void LogSkipped(const std::map<std::string, int>& skipped) {
  std::string kinds;
  for (const auto& [kind, count] : skipped) {
    kinds += (kinds.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
  }
  if (!kinds.empty()) LogInfo("skipped what policy does not depend on: " + kinds);
}

class ManifestThread {
 public:
  static Result<std::unique_ptr<ManifestThread>> Start(const std::string& directory,
                                                       ReconcileLoop& loop) {
    auto watch = watch::ManifestDirectory::Create(directory, [&loop](watch::Update update) {
      LogSkipped(update.skipped);
      loop.Push(
          ObjectsChanged{std::move(update.deltas), std::move(update.standing), update.complete});
    });
    if (!watch) return std::move(watch).error();
    return std::make_unique<ManifestThread>(directory, std::move(*watch));
  }
  ManifestThread(const std::string& directory, std::unique_ptr<watch::ManifestDirectory> watch)
      : watch_(std::move(watch)), thread_([this, directory](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            Status status = watch_->Run();
            if (status || stop.stop_requested()) return;
            LogError("watching " + directory + ": " + status.error().message);
            Pause(stop, seconds(1));
          }
        }) {}
  ~ManifestThread() {
    thread_.request_stop();
    watch_->Stop();
  }

 private:
  std::unique_ptr<watch::ManifestDirectory> watch_;
  std::jthread thread_;
};

}  // namespace

// Members are in the order of the data flow; destruction ends the readers first, then the watchers,
// then the reconciler. What it enforces is pinned and stays.
class Agent::Impl {
 public:
  explicit Impl(const Config& config) : config_(config), left_alone_(config.dataplane.pins) {}

  Status Start() {
    if (config_.manifests.empty()) {
      auto client = ApiSource::Connect(config_);
      if (!client) return std::move(client).error();
      client_ = std::move(*client);
    }
    auto opened = dataplane::Dataplane::Open(config_.dataplane);
    if (!opened) return std::move(opened).error();
    for (const std::string& note : (*opened)->notes()) LogWarning(note);
    dataplane_ = std::make_unique<SerialDataplane>(std::move(*opened));
    auto resolver = endpoint::KernelResolver();
    if (!resolver) return std::move(resolver).error();
    resolver_ = std::move(*resolver);
    doorkeeper_ =
        std::make_unique<Doorkeeper>(*dataplane_, left_alone_, config_.devices,
                                     [this](LinksChanged links) { loop_->Push(std::move(links)); });
    loop_ = std::make_unique<ReconcileLoop>(
        config_.node, *dataplane_,
        std::make_unique<Reconciler>(config_.node, *dataplane_,
                                     endpoint::Tracker(config_.node, config_.devices, *resolver_),
                                     left_alone_, SystemClock()),
        events_, watches_, SystemClock());
    if (Status status = StartWatches(); !status) return status;
    if (Status status = StartEgress(); !status) return status;
    auto server = observe::Server::Start(config_.socket, *loop_, events_);
    if (!server) return std::move(server).error();
    server_ = std::move(*server);
    if (config_.metrics) ServeMetrics();
    LogInfo("guarding the pods of node " + config_.node + "; objects from " +
            (api_ ? api_->Url() : config_.manifests) + ", CNI results from " + config_.cni_results +
            ", local API on " + config_.socket);
    return Ok();
  }

 private:
  void ServeMetrics() {
    auto ask = [this](std::function<void(observe::MetricsView)> answer) {
      loop_->AskMetrics(std::move(answer));
    };
    auto exporter = std::make_shared<observe::Exporter>(ask, SystemClock());
    web_ = std::make_unique<observe::Web>(
        *config_.metrics, [exporter](const std::string& path) { return exporter->Answer(path); });
  }

  Status StartEgress() {
    EgressOptions options;
    options.node = config_.node;
    auto boot_id = ReadFile("/proc/sys/kernel/random/boot_id");
    if (!boot_id) return std::move(boot_id).error();
    options.boot_id = boot_id->substr(0, boot_id->find('\n'));
    options.lease_namespace = config_.lease_namespace;
    options.tunnel_port = config_.tunnel_port;
    options.heartbeat_port = config_.heartbeat_port;
    options.vni = config_.tunnel_vni;
    if (!config_.heartbeat_key.empty()) {
      auto key = gateway::HeartbeatKey::Read(config_.heartbeat_key);
      if (!key) return std::move(key).error();
      options.key = std::move(*key);
    }
    egress_ = std::make_unique<EgressLoop>(options, *dataplane_, client_.get());
    loop_->SetTellEgress([this](EgressNews news) { egress_->Tell(std::move(news)); });
    loop_->SetEgress([this] { return EgressViewOf(egress_->Report(), config_.node); });
    return Ok();
  }

  Status StartWatches() {
    drops_ = std::jthread(
        [this](const std::stop_token& stop) { FollowDrops(stop, *dataplane_, *loop_); });
    auto links = endpoint::LinkWatch::Start(
        [this](const endpoint::LinkUpdate& update) { doorkeeper_->Hear(update); },
        std::chrono::minutes(1), [this] { return doorkeeper_->Work(); });
    if (!links) return std::move(links).error();
    links_ = std::move(*links);
    auto claims = endpoint::CniWatch::Start(
        config_.cni_results, [this](const endpoint::CniUpdate& update) { loop_->Push(update); });
    if (!claims) return std::move(claims).error();
    claims_ = std::move(*claims);
    if (config_.manifests.empty()) {
      api_ = std::make_unique<ApiSource>(*client_, *loop_, watches_);
      return Ok();
    }
    auto manifests = ManifestThread::Start(config_.manifests, *loop_);
    if (!manifests) return std::move(manifests).error();
    manifests_ = std::move(*manifests);
    return Ok();
  }

  const Config config_;
  LeftAlone left_alone_;
  std::unique_ptr<SerialDataplane> dataplane_;
  std::unique_ptr<endpoint::Resolver> resolver_;
  std::unique_ptr<Doorkeeper> doorkeeper_;
  observe::EventLog events_;
  observe::WatchBoard watches_;           // of the API server's resources
  std::unique_ptr<kube::Client> client_;  // none with manifests
  std::unique_ptr<EgressLoop> egress_;    // the reconciler tells it
  std::unique_ptr<ReconcileLoop> loop_;
  std::jthread drops_;
  std::unique_ptr<endpoint::LinkWatch> links_;
  std::unique_ptr<endpoint::CniWatch> claims_;
  std::unique_ptr<ManifestThread> manifests_;  // either this
  std::unique_ptr<ApiSource> api_;             // or that
  std::unique_ptr<observe::Server> server_;
  std::unique_ptr<observe::Web> web_;
};

Result<std::unique_ptr<Agent>> Agent::Start(const Config& config) {
  auto impl = std::make_unique<Impl>(config);
  if (Status status = impl->Start(); !status) return std::move(status).error();
  return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

// What egress IPs have left on the node's interfaces.
Status LeaveGateways() {
  auto held = gateway::HeldAddresses();
  if (!held) return std::move(held).error();
  for (const gateway::HeldAddress& one : *held)
    if (Status status = gateway::DropAddress(one.ifindex, one.address); !status) return status;
  return gateway::RemoveTunnel();
}

Result<std::string> RemoveEnforcement(const Config& config) {
  const std::string& pins = config.dataplane.pins;
  std::error_code error;
  if (!fs::exists(pins, error)) return "nothing to remove: " + pins + " does not exist";
  size_t count = 0;
  for (fs::recursive_directory_iterator it(pins, error), end; !error && it != end;
       it.increment(error)) {
    count += it->is_directory(error) ? 0 : 1;
  }
  if (Status status = dataplane::Dataplane::RemoveAll(pins); !status) {
    return std::move(status).error();
  }
  if (Status status = LeftAlone(pins).Clear(); !status) return std::move(status).error();
  if (Status status = LeaveGateways(); !status) return std::move(status).error();
  if (rmdir(pins.c_str()) != 0 && errno != ENOENT) return ErrnoError("removing " + pins);
  return "removed " + pins + " with " + std::to_string(count) +
         " pins, and the programs behind them; nothing is enforced on this node any more";
}

}  // namespace sallyport::control

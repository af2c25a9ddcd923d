// SPDX-License-Identifier: Apache-2.0
#include "control/egress_loop.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "base/log.h"
#include "control/egress_status.h"
#include "control/egress_views.h"

namespace sallyport::control {
namespace {

using egress::kSecond;
using egress::Millis;
using std::chrono::milliseconds;

constexpr Millis kBeat = 50;
constexpr Millis kLookAgain = 10 * kSecond;  // at whether a status is as it was written
constexpr Millis kCount = 2 * kSecond;       // between two looks at all flows
constexpr Millis kCountRefused = 500;        // while flows find no port
constexpr Millis kGoodbye = 2 * kSecond;
constexpr Millis kDeaf =
    5 * kSecond;  // where heartbeats cannot be heard, Leases decide from then on

Millis BootMillis() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Millis{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

uint32_t TickNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint32_t>((uint64_t(now.tv_sec) * 1'000'000'000 + uint64_t(now.tv_nsec)) >>
                               SP_TICK_SHIFT);
}

// "2026-01-02T03:04:05.123456Z", as Leases have it.
std::string WallText() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char text[40], out[60];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(out, sizeof out, "%s.%06ldZ", text, now.tv_nsec / 1000);
  return out;
}

// Greater than that of whoever ran here before.
uint64_t Incarnation() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return uint64_t(now.tv_sec) * 1000 + uint64_t(now.tv_nsec) / 1'000'000;
}

}  // namespace

EgressLoop::EgressLoop(const EgressOptions& options, dataplane::Dataplane& dataplane,
                       kube::Client* client)
    : options_(options),
      dataplane_(dataplane),
      hands_(dataplane, options.tunnel_port, options.heartbeat_port, options.vni),
      steward_(options.node, options.boot_id, Incarnation(), hands_.Configured(), BootMillis()),
      started_(BootMillis()) {
  if (client)
    writer_ = std::make_unique<gateway::ObjectWriter>(
        *client, options.node, [](const std::string& problem) {
          if (!problem.empty()) LogWarning("status of EgressGateways: " + problem);
        });
  if (client)
    leases_ = std::make_unique<gateway::LeaseClient>(*client, options.lease_namespace,
                                                     static_cast<gateway::LeaseEvents&>(*this));
  thread_ = std::jthread([this] { Run(); });
}

EgressLoop::~EgressLoop() {
  queue_.Push([this] { leaving_ = true; });
  if (thread_.joinable()) thread_.join();
  leases_.reset();
  writer_.reset();
  if (listener_.joinable()) {
    listener_.request_stop();
    listener_.join();
  }
}

void EgressLoop::Tell(EgressNews news) {
  queue_.Push([this, news = std::move(news)] {
    steward_.SetNews(news);
    told_ = true;
  });
}

EgressReport EgressLoop::Report() const {
  std::lock_guard lock(mutex_);
  return report_;
}

void EgressLoop::Set(const egress::BlockLease& lease) {
  queue_.Push([this, lease] { steward_.blocks().Set(lease, BootMillis()); });
}
void EgressLoop::Set(const egress::AddressLease& lease) {
  queue_.Push([this, lease] { steward_.holders().SetLease(lease, BootMillis()); });
}
void EgressLoop::RemoveBlock(const egress::BlockId& id, const std::string& uid) {
  queue_.Push([this, id, uid] { steward_.blocks().Remove(id, uid, BootMillis()); });
}
void EgressLoop::RemoveAddress(const net::Address& address, const std::string& uid) {
  queue_.Push([this, address, uid] { steward_.holders().RemoveLease(address, uid, BootMillis()); });
}
void EgressLoop::Listed() {
  queue_.Push([this] {
    steward_.blocks().Listed();
    leases_listed_ = true;
  });
}
void EgressLoop::Done(const egress::BlockAction& action, egress::Outcome outcome,
                      const std::optional<egress::BlockLease>& stands, const std::string& error) {
  queue_.Push([this, action, outcome, stands, error] {
    if (!error.empty())
      LogWarning("ports of egress IP " + action.lease.id.address.ToString() + ": " + error);
    steward_.blocks().Done(action, outcome, stands, BootMillis());
  });
}
void EgressLoop::Done(const egress::AddressAction& action, egress::Outcome outcome,
                      const std::optional<egress::AddressLease>& stands, const std::string& error) {
  queue_.Push([this, action, outcome, stands, error] {
    if (!error.empty()) LogWarning("egress IP " + action.lease.address.ToString() + ": " + error);
    steward_.holders().Done(action, outcome, stands, BootMillis());
  });
}
void EgressLoop::Problem(const std::string& problem) { LogError(problem); }
void EgressLoop::State(const watch::WatchState& state) {
  queue_.Push([this, state] {
    if (api_reachable_ != state.connected)
      LogInfo(std::string("Leases of egress IPs are ") +
              (state.connected ? "followed" : "not followed: " + state.last_error));
    api_reachable_ = state.connected;
  });
}

Duration EgressLoop::Patience() const {
  if (!told_) return std::chrono::hours(1);
  Millis now = BootMillis();
  Millis next = last_turn_ + (leaving_                         ? kBeat
                              : steward_.news().needed.empty() ? kSecond
                                                               : kCountRefused);
  if (next_beat_) next = std::min(next, *next_beat_);
  if (auto announcement = hands_.next_announcement()) next = std::min(next, *announcement);
  return milliseconds(std::max<Millis>(next - now, 0));
}

void EgressLoop::Run() {
  std::optional<Millis> goodbye;
  while (true) {
    idle_tasks_ = 0;
    std::vector<Task> tasks = queue_.PopAll(Patience());
    for (const Task& task : tasks) task();
    if (leaving_ && !goodbye) goodbye = BootMillis() + kGoodbye;
    if (goodbye && (!told_ || ended_ || BootMillis() > *goodbye)) return;
    bool news = tasks.size() > idle_tasks_;
    if (told_ && (news || Patience() == Duration::zero())) Turn();
  }
}

Moment EgressLoop::MomentNow() {
  Moment out;
  out.now = BootMillis();
  out.tick = TickNow();
  out.wall = WallText();
  out.api_reachable = api_reachable_;
  out.leases_listed = leases_listed_;
  out.last_word = last_word_;
  out.leaving = leaving_;
  out.listening = ListeningSince(out.now);
  const egress::Addresses& addresses = steward_.news().addresses;
  out.tunnel = hands_.NoTunnel();
  if (!addresses.empty())
    out.tunnel = hands_.Tunnel(steward_.TunnelAddress(options_.node), out.now);
  out.uplinks = hands_.Uplinks(addresses, out.now);
  return out;
}

// Objects have to be listed before it is known where to listen.
Millis EgressLoop::ListeningSince(Millis now) const {
  return listening_ != 0 ? listening_ : std::min(now, started_ + kDeaf);
}

// First the tables, then what makes packets come here, then what others are told.
void EgressLoop::Turn() {
  Moment moment = MomentNow();
  last_turn_ = moment.now;
  uint32_t refusals = dataplane_.EgressRefusals();
  if (moment.now - last_use_ >= (refusals == refusals_ ? kCount : kCountRefused)) {
    last_use_ = moment.now;
    refusals_ = refusals;
    use_ = dataplane_.ReadEgressUse();
    steward_.SetUse(use_, moment.now);
    Foresee();
  }
  OpenSocket();
  Intent intent = steward_.Decide(moment);
  dataplane::EgressTables* tables = dataplane_.egress();
  bool changed = applied_ != intent.state;
  if (tables && changed) {
    Status status = tables->Apply(intent.state);
    applied_.reset();
    if (status.ok()) applied_ = intent.state;
    std::string error = status.ok() ? "" : status.error().message;
    if (error != said_ && !error.empty()) LogError("egress: " + error);
    said_ = error;
  }
  auto failed = hands_.Hold(intent.hold, moment.uplinks, moment.now);
  for (const egress::TakeOver& taken : intent.taken) {
    ++takeovers_;
    LogInfo("holding egress IP " + taken.address.ToString() +
            (taken.from.empty() ? "" : " in place of " + taken.from) + ": " + taken.why);
  }
  Speak(intent);
  Ask(intent);
  if (leaving_) ended_ = intent.hold.empty();
  bool news = changed || !intent.taken.empty() || !failed.empty();
  if (news || last_turn_ - last_published_ >= kSecond)
    Publish(std::move(intent), std::move(failed));
}

// Once it is known where other nodes send to.
void EgressLoop::OpenSocket() {
  net::Address own = steward_.TunnelAddress(options_.node);
  std::vector<net::Address> addresses;
  if (own != net::Address() && !steward_.news().addresses.empty()) addresses.push_back(own);
  if (addresses == socket_addresses_ && (socket_ || addresses.empty())) return;
  if (listener_.joinable()) {
    listener_.request_stop();
    listener_.join();
  }
  socket_.reset();
  socket_addresses_ = addresses;
  if (addresses.empty()) return;
  auto socket = gateway::HeartbeatSocket::Open(addresses, options_.heartbeat_port, options_.key);
  std::string error = socket ? "" : socket.error().message;
  if (error != socket_error_ && !error.empty()) LogError("heartbeats of gateways: " + error);
  socket_error_ = error;
  if (!socket) return;
  socket_.emplace(std::move(*socket));
  if (listening_ == 0) listening_ = BootMillis();
  listener_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      auto received = socket_->Receive(milliseconds(100));
      if (!received) {
        std::this_thread::sleep_for(milliseconds(100));  // its interface may be gone for a moment
        continue;
      }
      for (gateway::ReceivedHeartbeat& one : *received)
        queue_.Push([this, one = std::move(one)] {
          if (!Hear(one)) ++idle_tasks_;
        });
    }
  });
}

// Believed only from an address of the node that it names. Whether it is news.
bool EgressLoop::Hear(const gateway::ReceivedHeartbeat& received) {
  auto heartbeat = egress::Decode(received.datagram);
  if (!heartbeat) return false;
  auto node = steward_.news().nodes.find(heartbeat->node);
  if (node == steward_.news().nodes.end() || heartbeat->node == options_.node) return false;
  const std::vector<net::Address>& theirs = node->second->internal_addresses;
  if (std::find(theirs.begin(), theirs.end(), received.from) == theirs.end()) return false;
  last_word_ = BootMillis();
  heard_[heartbeat->node] = last_word_;
  return steward_.holders().Heard(*heartbeat, last_word_);
}

void EgressLoop::Speak(const Intent& intent) {
  next_beat_ = intent.next_beat;
  if (!socket_ || intent.heartbeats.empty()) return;
  std::vector<net::Address> to;
  auto add = [&](const std::string& name) {
    net::Address address = steward_.TunnelAddress(name);
    if (address != net::Address() && name != options_.node) to.push_back(address);
  };
  if (intent.announce) {
    for (const auto& [name, node] : steward_.news().nodes) add(name);
  } else {
    for (const std::string& name : intent.beat_to) add(name);
  }
  for (const egress::Heartbeat& heartbeat : intent.heartbeats)
    (void)socket_->Send(egress::Encode(heartbeat), to);  // the next one may arrive
}

void EgressLoop::Ask(const Intent& intent) {
  Millis now = BootMillis();
  for (const egress::BlockAction& action : intent.block_actions)
    if (!leases_ || !leases_->Ask(action))
      steward_.blocks().Done(action, egress::Outcome::kFailed, std::nullopt, now);
  for (const egress::AddressAction& action : intent.address_actions)
    if (!leases_ || !leases_->Ask(action))
      steward_.holders().Done(action, egress::Outcome::kFailed, std::nullopt, now);
}

// How long ports last is told from how their use has risen.
void EgressLoop::Foresee() {
  const MonotonicTime now{milliseconds(last_turn_)};
  std::erase_if(foresight_, [this](const auto& e) { return !use_.contains(e.first); });
  for (const auto& [address, use] : use_) foresight_[address].Take(now, BusiestOf(use));
}

void EgressLoop::Publish(Intent intent, std::map<net::Address, std::string> failed) {
  std::erase_if(held_since_, [&](const auto& e) { return !intent.hold.contains(e.first); });
  for (const auto& [address, epoch] : intent.hold) held_since_.try_emplace(address, last_turn_);
  last_published_ = last_turn_;
  std::map<net::Address, double> lasts;
  for (const auto& [address, foresight] : foresight_) {
    auto ip = intent.state.ips.find(address);
    if (ip == intent.state.ips.end()) continue;
    if (auto seconds = foresight.Foresee(PortsOf(ip->second))) lasts[address] = *seconds;
  }
  std::unique_lock lock(mutex_);
  report_.news = steward_.news();
  report_.intent = std::move(intent);
  report_.use = use_;
  report_.leases = steward_.leases();
  report_.failed = std::move(failed);
  report_.held_since = held_since_;
  report_.heard = heard_;
  report_.lasts = std::move(lasts);
  report_.takeovers = takeovers_;
  report_.now = last_turn_;
  report_.wall = SystemClock().WallNow();
  report_.api_reachable = api_reachable_;
  lock.unlock();
  WriteStatus(report_);  // only this thread writes it
}

// What has changed, and all that happened.
void EgressLoop::WriteStatus(const EgressReport& report) {
  if (!writer_) return;
  for (gateway::GatewayEvent& event : EventsOf(report)) writer_->Tell(std::move(event));
  if (report.intent.taken.empty() && report.now - last_status_ < kSecond) return;
  last_status_ = report.now;
  std::map<std::string, gateway::GatewayStatus> statuses;
  for (gateway::GatewayStatus& status :
       CertainOf(StatusesOf(report, options_.node), report.now, &nobody_since_)) {
    auto before = written_.find(status.name);
    if (before == written_.end() || before->second != status) writer_->SetStatus(status);
    statuses.emplace(status.name, std::move(status));
  }
  for (const auto& [name, status] : written_)
    if (!statuses.contains(name)) writer_->ForgetStatus(name);
  written_ = std::move(statuses);
  if (report.now - last_look_ < kLookAgain) return;
  last_look_ = report.now;
  writer_->LookAgain();
}

}  // namespace sallyport::control

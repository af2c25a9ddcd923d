// SPDX-License-Identifier: Apache-2.0
// Gateways that talk to each other and to an API server, in steps of 10 ms, in no time. Links may
// be cut, messages lost, agents and nodes killed.
#pragma once

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "egress/holders.h"

namespace sallyport::egress {

class GatewayLab {
 public:
  // Gateways g1..gN; a node s1 that is none; egress IPs 203.0.113.1..M.
  GatewayLab(int gateways, int addresses) {
    for (int i = 1; i <= gateways; ++i) AddNode("g" + std::to_string(i), true);
    AddNode("s1", false);
    for (int i = 1; i <= addresses; ++i) {
      AddressSpec spec;
      spec.gateway = "partner";
      spec.nodes = model::Selector({{"role", model::Operator::kIn, {"gateway"}}});
      spec.block_size = 1024;
      specs[Ip(i)] = spec;
    }
  }

  static net::Address Ip(int i) { return net::Address::V4(0xcb007100u + static_cast<uint32_t>(i)); }

  struct Sim {
    bool on = true;   // the machine, and what its kernel does
    bool api = true;  // reaches the API server
    bool leaving = false;
    std::set<net::Address> unusable;
    std::optional<Holders> agent;
    std::set<net::Address> configured;  // on its uplink, agent or not
    HolderDecision last;
    Millis next_beat = 0;
    bool news = false;   // to be asked before
    uint64_t beats = 0;  // that it sent
    Millis last_word = 0;
    size_t seen = 0;  // of the server's history
    std::vector<std::pair<Millis, AddressAction>> requests;
  };
  std::map<std::string, Sim> nodes;
  std::map<std::string, model::NodePtr> objects;
  Addresses specs;
  std::map<net::Address, AddressLease> leases;
  std::vector<std::pair<AddressLease, bool>> history;  // second: it is gone
  std::set<std::pair<std::string, std::string>> cut;   // from, to
  std::function<bool()> lost = [] { return false; };   // this message
  Millis watch_delay = 100;
  Millis now = 1000000;
  std::vector<std::string> log;

  void AddNode(const std::string& name, bool gateway) {
    model::Node node;
    node.name = name;
    node.ready = true;
    if (gateway) node.labels = {{"role", "gateway"}};
    objects[name] = std::make_shared<model::Node>(node);
    nodes[name];
  }
  void Change(const std::string& name, const std::function<void(model::Node&)>& change) {
    model::Node node = *objects.at(name);
    change(node);
    objects[name] = std::make_shared<model::Node>(node);
    Tell();
  }
  // Those that reach the server are told of objects at once.
  void Tell() {
    for (auto& [name, sim] : nodes) {
      if (sim.agent && sim.api) sim.agent->SetCluster(specs, objects);
    }
  }
  void Start(const std::string& name) {
    Sim& sim = nodes.at(name);
    sim.on = true;
    sim.leaving = false;
    sim.agent.emplace(name, static_cast<uint64_t>(now), sim.configured, now);
    sim.agent->SetCluster(specs, objects);
    sim.seen = 0;
    sim.requests.clear();
    sim.last_word = now;
    sim.next_beat = now;
  }
  void StartAll() {
    for (auto& [name, sim] : nodes) Start(name);
  }
  // The agent dies; the kernel goes on.
  void StopAgent(const std::string& name) { nodes.at(name).agent.reset(); }
  void Kill(const std::string& name) {
    StopAgent(name);
    nodes.at(name).on = false;
    nodes.at(name).configured.clear();
  }
  void Cut(const std::string& a, const std::string& b) { cut.insert({{a, b}, {b, a}}); }
  void Heal() { cut.clear(); }

  void Run(Millis time) {
    for (Millis end = now + time; now < end; now += 10) Step();
  }
  // Runs until it is so, at most for so long; how long it took.
  Millis RunUntil(const std::function<bool()>& so, Millis most = 60 * kSecond) {
    Millis begin = now;
    while (!so() && now - begin < most) {
      Step();
      now += 10;
    }
    return now - begin;
  }

  std::vector<std::string> HoldersOf(const net::Address& address) const {
    std::vector<std::string> out;
    for (const auto& [name, sim] : nodes) {
      if (sim.on && sim.configured.contains(address)) out.push_back(name);
    }
    return out;
  }
  std::string Holder(int i) const {
    std::string out;
    for (const std::string& name : HoldersOf(Ip(i))) out += (out.empty() ? "" : ",") + name;
    return out;
  }
  std::string Route(const std::string& from, int i) const {
    const HolderDecision& last = nodes.at(from).last;
    auto it = last.routes.find(Ip(i));
    return it == last.routes.end() ? "" : it->second.node;
  }
  // How many addresses each gateway holds.
  std::map<std::string, int> Loads() const {
    std::map<std::string, int> out;
    for (const auto& [address, spec] : specs) {
      for (const std::string& name : HoldersOf(address)) ++out[name];
    }
    return out;
  }

 private:
  void Step() {
    for (auto& [name, sim] : nodes) {
      if (sim.agent) Act(name, sim);
    }
  }

  void Act(const std::string& name, Sim& sim) {
    Serve(sim);
    if (now < sim.next_beat && !sim.news) return;
    sim.news = false;
    sim.next_beat = now + 50;
    HolderInput input;
    input.now = now;
    input.wall = std::to_string(now);
    input.api_reachable = sim.api;
    input.leases_listed = sim.seen > 0 || (sim.api && history.empty());
    input.last_word = sim.last_word;
    input.leaving = sim.leaving;
    input.unusable = sim.unusable;
    sim.last = sim.agent->Decide(input);
    sim.configured.clear();
    for (const auto& [address, epoch] : sim.last.hold) sim.configured.insert(address);
    for (const TakeOver& taken : sim.last.taken) {
      log.push_back(std::to_string(now) + " " + name + " took " + taken.address.ToString() +
                    " from " + taken.from + " in " + std::to_string(taken.epoch) + ": " +
                    taken.why);
    }
    for (AddressAction& action : sim.last.actions) sim.requests.emplace_back(now + 20, action);
    sim.beats += sim.last.heartbeats.size();
    for (const Heartbeat& beat : sim.last.heartbeats) Send(name, beat, sim.last);
  }

  void Send(const std::string& from, const Heartbeat& beat, const HolderDecision& decision) {
    for (auto& [to, sim] : nodes) {
      bool addressed =
          decision.announce ||
          std::find(decision.beat_to.begin(), decision.beat_to.end(), to) != decision.beat_to.end();
      if (to == from || !addressed || !sim.agent || cut.contains({from, to}) || lost()) continue;
      auto read = Decode(Encode(beat));
      sim.news |= sim.agent->Heard(*read, now);
      sim.last_word = now;
    }
  }

  // Requests and the watch.
  void Serve(Sim& sim) {
    if (!sim.api) {
      for (auto& [at, action] : sim.requests) {
        sim.agent->Done(action, Outcome::kFailed, std::nullopt, now);
      }
      sim.requests.clear();
      return;
    }
    while (!sim.requests.empty() && sim.requests.front().first <= now) {
      AddressAction action = sim.requests.front().second;
      sim.requests.erase(sim.requests.begin());
      auto [outcome, stands] = Do(action);
      sim.agent->Done(action, outcome, stands, now);
    }
    while (sim.seen < history.size() && told_[sim.seen] + watch_delay <= now) {
      const auto& [lease, gone] = history[sim.seen++];
      if (gone) {
        sim.agent->RemoveLease(lease.address, lease.meta.uid, now);
      } else {
        sim.agent->SetLease(lease, now);
      }
    }
  }

  std::pair<Outcome, std::optional<AddressLease>> Do(const AddressAction& action) {
    AddressLease lease = action.lease;
    auto it = leases.find(lease.address);
    std::optional<AddressLease> stands;
    if (it != leases.end()) stands = it->second;
    bool create = action.kind == AddressAction::Kind::kCreate;
    if (create ? stands.has_value() : !stands || stands->meta.version != lease.meta.version) {
      return {Outcome::kConflict, stands};
    }
    ++version_;
    told_.push_back(now);
    if (action.kind == AddressAction::Kind::kDelete) {
      leases.erase(it);
      history.emplace_back(lease, true);
      return {Outcome::kDone, std::nullopt};
    }
    lease.meta.version = version_;
    if (lease.meta.acquired.empty()) lease.meta.acquired = lease.renew_time;
    if (create) lease.meta.uid = "u" + std::to_string(version_);
    leases[lease.address] = lease;
    history.emplace_back(lease, false);
    return {Outcome::kDone, lease};
  }

  uint64_t version_ = 0;
  std::vector<Millis> told_;
};

}  // namespace sallyport::egress

// SPDX-License-Identifier: Apache-2.0
// Several nodes claim the ports of one egress IP from one API server, while requests and answers
// are delayed and lost, agents are killed, nodes are cut off, rebooted, taken away, and the size of
// blocks changes: at no instant is a port open, or has a live flow, on two nodes. Nothing is
// leaked: when all is quiet and nobody needs the address, no Lease is left.
#include "egress/port_blocks.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "support/random.h"
#include "support/world.h"

namespace sallyport::egress {
namespace {

using test::Random;

const net::Address kAddress = *net::Address::Parse("203.0.113.10");

struct LeaseEvent {
  BlockLease lease;
  bool removed = false;
};

// The API server: atomic, and with a history that watches follow.
class LeaseServer {
 public:
  // What an action comes to, and what stands there then.
  std::pair<Outcome, std::optional<BlockLease>> Do(const BlockAction& action) {
    BlockLease lease = action.lease;
    auto it = leases.find(lease.id);
    std::optional<BlockLease> stands;
    if (it != leases.end()) stands = it->second;
    switch (action.kind) {
      case BlockAction::Kind::kCreate:
        if (stands) return {Outcome::kConflict, stands};
        lease.meta = {"u" + std::to_string(++version_), version_,
                      std::to_string(1000000 + version_)};
        break;
      case BlockAction::Kind::kUpdate:
        if (!stands || stands->meta.version != lease.meta.version) {
          return {Outcome::kConflict, stands};
        }
        lease.meta = {stands->meta.uid, ++version_, stands->meta.created};
        break;
      case BlockAction::Kind::kDelete:
        if (!stands || !(stands->meta == lease.meta)) return {Outcome::kConflict, stands};
        ++version_;
        leases.erase(it);
        history.push_back({*stands, true});
        return {Outcome::kDone, std::nullopt};
    }
    leases[lease.id] = lease;
    history.push_back({lease, false});
    return {Outcome::kDone, lease};
  }

  std::map<BlockId, BlockLease> leases;
  std::vector<LeaseEvent> history;

 private:
  uint64_t version_ = 0;
};

struct Flow {
  BlockId block;
  Millis ends = 0;
};

struct Request {
  BlockAction action;
  bool executed = false;
  bool abandoned = false;  // whoever asked does not wait for the answer any more
  Outcome outcome = Outcome::kFailed;
  std::optional<BlockLease> stands;
};

class SimNode {
 public:
  SimNode(std::string name, Random& random) : name_(std::move(name)), random_(random) {}

  void PowerOn(Millis now) {
    on = true;
    booted_ = now - 1000;
    boot_id = name_ + "-boot-" + std::to_string(++boots_);
  }
  void PowerOff() {
    on = false;
    StopAgent();
    table.clear();
    flows.clear();
  }
  void StartAgent(const LeaseServer& server, Millis now) {
    agent_.emplace(name_, boot_id);
    seen_ = server.history.size();
    for (const auto& [id, lease] : server.leases) agent_->Set(lease, Clock(now));
    agent_->Listed();
  }
  void StopAgent() {
    agent_.reset();
    for (Request& request : requests_) request.abandoned = true;
  }
  bool runs() const { return agent_.has_value(); }

  // The kernel goes by its table, whether an agent runs or not.
  void Pass(Millis now) {
    std::erase_if(table, [&](const auto& b) { return Clock(now) >= b.second.keep_until; });
    std::erase_if(flows, [&](const Flow& f) { return f.ends <= now || !table.contains(f.block); });
    for (const auto& [id, block] : table) {
      if (!block.use || Clock(now) >= block.use_until || !wanted) continue;
      for (int i = random_.Between(0, 2); i > 0; --i) {
        Millis life = random_.Chance(80) ? random_.Between(1, 600) : random_.Between(1, 60000);
        flows.push_back({id, now + life * kSecond});
        ++opened;
      }
    }
    for (const Flow& flow : flows) last_used_[flow.block] = now;
  }

  void Decide(const std::map<std::string, std::string>& boots, Millis now) {
    PortBlocksInput input;
    input.now = Clock(now);
    input.wall = std::to_string(now);
    if (wanted) input.needed[kAddress] = size;
    input.nodes_listed = true;
    input.boot_ids = boots;
    for (const auto& [id, block] : table) {
      BlockUse use;
      for (const Flow& flow : flows) use.live += flow.block == id;
      use.busy = std::min(block.size, use.live * pressure);
      use.quiet = now - last_used_[id];
      input.use[id] = use;
    }
    PortBlocksDecision decision = agent_->Decide(input);
    ASSERT_TRUE(decision.complete);
    table = std::move(decision.own);
    std::erase_if(flows, [&](const Flow& f) { return !table.contains(f.block); });
    for (BlockAction& action : decision.actions)
      requests_.push_back({std::move(action), {}, {}, {}, {}});
  }

  // Requests reach the server in any order, late, or never; so do their answers.
  void Talk(LeaseServer& server, Millis now, bool reliable) {
    for (Request& request : requests_) {
      bool reaches = connected && (reliable || random_.Chance(70));
      if (!request.executed && reaches) {
        std::tie(request.outcome, request.stands) = server.Do(request.action);
        request.executed = true;
      }
      if (request.abandoned || !agent_) continue;
      if (request.executed && (reliable || random_.Chance(60))) {
        agent_->Done(request.action, request.outcome, request.stands, Clock(now));
        request.abandoned = true;
      } else if (!reliable && random_.Chance(15)) {
        agent_->Done(request.action, Outcome::kFailed, std::nullopt, Clock(now));
        request.abandoned = true;
      }
    }
    std::erase_if(requests_, [&](const Request& r) {
      return r.abandoned && (r.executed || reliable || random_.Chance(30));
    });
    while (agent_ && connected && seen_ < server.history.size() &&
           (reliable || random_.Chance(80))) {
      const LeaseEvent& event = server.history[seen_++];
      if (event.removed) {
        agent_->Remove(event.lease.id, event.lease.meta.uid, Clock(now));
      } else {
        agent_->Set(event.lease, Clock(now));
      }
    }
  }

  // Ports that are open for new flows, or have live ones.
  std::vector<std::pair<int, int>> Ports(Millis now) const {
    std::vector<std::pair<int, int>> out;
    for (const auto& [id, block] : table) {
      bool open = block.use && Clock(now) < block.use_until;
      bool live = std::any_of(flows.begin(), flows.end(),
                              [id = id](const Flow& f) { return f.block == id; });
      if (open || live) out.emplace_back(id.first, id.first + block.size);
    }
    return out;
  }
  const std::string& name() const { return name_; }

  bool on = false;
  bool connected = true;
  bool wanted = true;
  int size = 8192;
  int pressure = 500;  // ports a flow takes, as it were
  int opened = 0;
  std::string boot_id;
  std::map<BlockId, OwnBlock> table;
  std::vector<Flow> flows;

 private:
  Millis Clock(Millis now) const { return now - booted_; }

  std::string name_;
  Random& random_;
  int boots_ = 0;
  Millis booted_ = 0;
  std::optional<PortBlocks> agent_;
  std::vector<Request> requests_;
  size_t seen_ = 0;
  std::map<BlockId, Millis> last_used_;
};

class ClaimingNodes {
 public:
  explicit ClaimingNodes(uint64_t seed) : random_(seed) {
    for (const char* name : {"n1", "n2", "n3"}) {
      nodes_.emplace_back(name, random_);
      nodes_.back().PowerOn(now_);
      node_objects_[name] = nodes_.back().boot_id;
    }
  }

  void Trouble(SimNode& node) {
    switch (random_.Between(0, 30)) {
      case 0:
        node.connected = !node.connected;
        break;
      case 1:
      case 2:
        node.StopAgent();
        break;
      case 3:
        node.PowerOff();
        if (random_.Chance(40)) node_objects_.erase(node.name());
        break;
      case 4:
        node.size = random_.Chance(50) ? 8192 : 16384;
        break;
      case 5:
        node.wanted = !node.wanted;
        break;
      case 6:
        node.pressure = random_.Chance(50) ? 500 : 5000;
        break;
      default:
        break;
    }
    if (!node.on && random_.Chance(15)) node.PowerOn(now_);
    if (node.on && !node.runs() && node.connected && random_.Chance(40)) {
      node.StartAgent(server_, now_);
      // No pod runs on a node that has no Node object.
      node_objects_.try_emplace(node.name(), node.boot_id);
    }
    // The kubelet says so a while after.
    if (node.on && random_.Chance(30)) node_objects_[node.name()] = node.boot_id;
  }

  void Step(bool trouble) {
    static const std::vector<Millis> kSteps = {kSecond,      10 * kSecond, kMinute,
                                               kMinute,      5 * kMinute,  5 * kMinute,
                                               20 * kMinute, 20 * kMinute};
    now_ += trouble ? random_.Pick(kSteps) : 5 * kMinute;
    if (trouble && random_.Chance(2)) now_ += random_.Between(1, 9) * 60 * kMinute;
    for (SimNode& node : nodes_) {
      if (trouble) Trouble(node);
      node.Pass(now_);
    }
    for (int round = trouble ? random_.Between(1, 4) : 4; round > 0; --round) {
      for (SimNode& node : nodes_) {
        // What it knows of other nodes may be old.
        if (node.connected || seen_[node.name()].empty()) seen_[node.name()] = node_objects_;
        if (node.runs() && (!trouble || random_.Chance(80))) node.Decide(seen_[node.name()], now_);
        Check();
        node.Talk(server_, now_, !trouble);
        node.Pass(now_);
        Check();
      }
    }
  }

  void Calm() {
    for (SimNode& node : nodes_) {
      node.connected = true;
      node.wanted = false;
      if (node.on && !node.runs()) node.StartAgent(server_, now_);
    }
    bool any = std::any_of(nodes_.begin(), nodes_.end(), [](const SimNode& n) { return n.runs(); });
    if (!any) {
      nodes_[0].PowerOn(now_);
      nodes_[0].StartAgent(server_, now_);
    }
    for (SimNode& node : nodes_) {
      if (node.on) node_objects_[node.name()] = node.boot_id;
    }
  }

  void Check() {
    for (size_t i = 0; i < nodes_.size() && problem.empty(); ++i) {
      for (size_t j = i + 1; j < nodes_.size(); ++j) {
        for (auto [first, last] : nodes_[i].Ports(now_)) {
          for (auto [other_first, other_last] : nodes_[j].Ports(now_)) {
            if (first >= other_last || other_first >= last) continue;
            problem = nodes_[i].name() + " has " + std::to_string(first) + ".." +
                      std::to_string(last) + ", " + nodes_[j].name() + " " +
                      std::to_string(other_first) + ".." + std::to_string(other_last);
          }
        }
      }
    }
  }

  std::string History() const {
    std::string out;
    for (const LeaseEvent& event : server_.history) {
      const BlockLease& lease = event.lease;
      out += (event.removed ? "- " : "+ ") + NameOf(lease.id) + "+" + std::to_string(lease.size) +
             " " + lease.boot_id + " v" + std::to_string(lease.meta.version) + " " +
             lease.renew_time + "\n";
    }
    return out + "now " + std::to_string(now_);
  }

  size_t leases() const { return server_.leases.size(); }
  int opened() const {
    int sum = 0;
    for (const SimNode& node : nodes_) sum += node.opened;
    return sum;
  }
  int reclaimed() const {
    int sum = 0;
    for (const LeaseEvent& event : server_.history) sum += event.removed;
    return sum;
  }
  std::string problem;

 private:
  Random random_;
  Millis now_ = 1000 * kMinute;
  LeaseServer server_;
  std::vector<SimNode> nodes_;
  std::map<std::string, std::string> node_objects_;
  std::map<std::string, std::map<std::string, std::string>> seen_;
};

TEST(PortBlocksProperty, NoPortIsTwoNodesAndNothingLeaks) {
  int opened = 0;
  int removed = 0;
  for (uint64_t seed : test::Seeds(30)) {
    ClaimingNodes cluster(seed);
    for (int step = 0; step < 250; ++step) {
      cluster.Step(true);
      ASSERT_EQ(cluster.problem, "") << "seed " << seed << ", step " << step << "\n"
                                     << cluster.History();
    }
    cluster.Calm();
    for (int step = 0; step < 500 && cluster.leases() > 0; ++step) {
      cluster.Step(false);
      ASSERT_EQ(cluster.problem, "") << "seed " << seed << ", calm step " << step;
    }
    ASSERT_EQ(cluster.leases(), 0u) << "seed " << seed;
    opened += cluster.opened();
    removed += cluster.reclaimed();
  }
  if (std::getenv("SALLYPORT_WORLDS")) return;
  EXPECT_GT(opened, 30 * 100);
  EXPECT_GT(removed, 30);
}

}  // namespace
}  // namespace sallyport::egress

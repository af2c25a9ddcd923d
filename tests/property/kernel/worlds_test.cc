// SPDX-License-Identifier: Apache-2.0
// Over random worlds: what the API text says (Judge) = what the tables say, read in C++ = what the
// programs do with a real packet, in the kernel. One set of tables takes all worlds in turn, so
// each of them is also a change from the one before. And while they change, packets run after each
// store: what both policies let through passes, what neither does is dropped.
#include <gtest/gtest.h>

#include <cstring>
#include <sstream>

#include "dataplane/encoder.h"
#include "policy/compile.h"
#include "policy/evaluate.h"
#include "support/kernel.h"
#include "support/table_twin.h"
#include "support/world.h"

namespace sallyport::test {
namespace {

using policy::Direction;

const KernelOptions kOptions = {.endpoints = 64,
                                .peer_buckets = 64,
                                .rule_buckets = 1024,
                                .port_sets = 1024,
                                .port_pages = 4096,
                                .trie_nodes = 16384,
                                .flow_buckets = 4,
                                .tunnels_from_pods = true};

Packet ToPacket(const net::FlowTuple& flow) {
  auto protocol = static_cast<uint8_t>(flow.protocol);
  Packet ip = flow.source.IsV4()
                  ? Packet(IPv4{.src = flow.source, .dst = flow.destination, .protocol = protocol})
                  : Packet(IPv6{.src = flow.source, .dst = flow.destination, .next = protocol});
  Packet out = Ethernet() / ip;
  switch (flow.protocol) {
    case net::Protocol::kTcp:
      return out / TCP{.sport = flow.source_port, .dport = flow.destination_port};
    case net::Protocol::kUdp:
      return out / UDP{.sport = flow.source_port, .dport = flow.destination_port};
    case net::Protocol::kSctp:
      return out / SCTP{.sport = flow.source_port, .dport = flow.destination_port};
    case net::Protocol::kIcmp:
      return out / ICMP{};
    case net::Protocol::kIcmpV6:
      return out / ICMPv6{};
  }
  return out / Payload(16);
}

// The programs, tables and encoder that all worlds go through.
class Node {
 public:
  // Whether drops have events or not: they come from different paths. Packets run on this thread,
  // so no grace period is needed.
  explicit Node(bool events) : kernel_(Options(events)), encoder_(MakeTables(), Around()) {
    Status adopted = encoder_.Adopt();
    CHECK(adopted.ok()) << adopted.error().message;
  }

  // Enforces the image; a repeatable choice of which endpoints may be handed packets directly.
  std::string Enforce(const model::Snapshot& snapshot, const policy::Image& image,
                      const policy::Changes* changes) {
    snapshot_ = snapshot;
    image_ = image;
    bindings_.clear();
    local_.clear();
    uint32_t next = 0;
    for (const auto& [name, endpoint] : image.endpoints) {
      if (next == kInterfaces - 1) break;  // the last one is where others' packets come from
      dataplane::Binding binding{Interface(next++), {}, name.name.size() % 2 == 0};
      bool has[2] = {};
      for (const net::Address& address : endpoint.addresses)
        if (!std::exchange(has[address.IsV4()], true)) binding.addresses.push_back(address);
      for (const net::Address& address : binding.addresses) local_.emplace(address, name);
      bindings_[name] = binding;
    }
    Status status = encoder_.Apply(image, changes, bindings_);
    if (status.ok()) status = encoder_.Settle();  // the hints to interfaces come with it
    if (!encoder_.shortfalls().empty())
      return "table " + encoder_.shortfalls()[0].use.name + " is full";
    return status.ok() ? "" : status.error().message;
  }

  // "" or how the verdicts on this flow, at each end that is here, differ.
  std::string Disagreement(const net::FlowTuple& flow) {
    for (const auto& [name, binding] : bindings_) {
      for (Direction direction : {Direction::kEgress, Direction::kIngress}) {
        bool egress = direction == Direction::kEgress;
        const net::Address& own = egress ? flow.source : flow.destination;
        if (std::find(binding.addresses.begin(), binding.addresses.end(), own) ==
            binding.addresses.end())
          continue;
        std::string wrong = CompareAt(name, binding, direction, flow);
        if (!wrong.empty())
          return flow.ToString() + ", " + policy::ToString(direction) + " of " + name.ToString() +
                 ": " + wrong;
      }
    }
    return "";
  }

  // A first packet at one end.
  struct Asked {
    uint32_t ifindex;
    Direction direction;
    net::FlowTuple flow;
  };
  // What is to be thought of it now: nothing where that end is not here.
  struct Opinion {
    bool here = false;
    bool own = false;        // this end allows it
    bool both = false;       // and so does the other, where it is asked at once
    bool sent_here = false;  // it comes unmarked, with the address of another pod here
  };

  std::vector<Asked> RandomPackets(Random& random, size_t count) const {
    std::vector<Asked> out;
    for (const net::FlowTuple& flow : RandomFlows(random, snapshot_, count))
      for (const auto& [name, binding] : bindings_)
        for (Direction direction : {Direction::kEgress, Direction::kIngress})
          if (Asked asked{binding.ifindex, direction, flow};
              Think(asked).here && CanBeRun(direction, flow))
            out.push_back(asked);
    return out;
  }
  Opinion Think(const Asked& asked) const {
    const net::FlowTuple& flow = asked.flow;
    bool egress = asked.direction == Direction::kEgress;
    for (const auto& [name, binding] : bindings_) {
      const auto& all = binding.addresses;
      const net::Address& own = egress ? flow.source : flow.destination;
      if (binding.ifindex != asked.ifindex || std::find(all.begin(), all.end(), own) == all.end())
        continue;
      bool allowed = Expected(name, asked.direction, flow);
      const model::ObjectName* other = egress ? OtherEnd(name, binding, flow) : Sender(name, flow);
      Direction others = egress ? Direction::kIngress : Direction::kEgress;
      return {true, allowed, allowed && (!other || Expected(*other, others, flow)),
              other && !egress};
    }
    return {};
  }
  // What comes to a pod from itself says so by what its way out gave it, which a run packet has
  // not.
  // Loopback addresses are on no wire, whatever policy says (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
  static bool CanBeRun(Direction direction, const net::FlowTuple& flow) {
    static const net::Cidr v4 = *net::Cidr::Parse("127.0.0.0/8"), v6 = *net::Cidr::Parse("::1/128");
    if (v4.Contains(flow.destination) || v6.Contains(flow.destination)) return false;
    return direction == Direction::kEgress || flow.source != flow.destination;
  }
  Action Run(const Asked& asked) {
    std::memset(kernel_.flows(), 0, kOptions.flow_buckets * sizeof(sp_flow_bucket));
    Packet packet = ToPacket(asked.flow);
    return (asked.direction == Direction::kEgress ? kernel_.FromPod(asked.ifindex, packet)
                                                  : kernel_.ToPod(asked.ifindex, packet))
        .action;
  }
  // Called after each store.
  std::function<void()> after_store;

 private:
  dataplane::Surroundings Around() {
    dataplane::Surroundings out;
    out.pen = dataplane::Pen([this] {
      if (after_store) after_store();
    });
    return out;
  }
  static KernelOptions Options(bool events) {
    KernelOptions out = kOptions;
    if (!events) out.events_per_tick = 0;
    return out;
  }

  dataplane::Tables MakeTables() {
    dataplane::Tables out;
    out.control = kernel_.control();
    out.endpoints = {kernel_.endpoints(), kOptions.endpoints};
    out.peers = {kernel_.peers(), kOptions.peer_buckets};
    out.rules = {kernel_.rules(), kOptions.rule_buckets};
    out.port_sets = {kernel_.port_sets(), kOptions.port_sets};
    out.port_pages = {kernel_.port_pages(), kOptions.port_pages};
    out.prefixes = {kernel_.prefixes(), kOptions.trie_nodes};
    out.hash_seed = kOptions.hash_seed;
    return out;
  }

  policy::DirectionVerdict Judge(const model::ObjectName& name, Direction direction,
                                 const net::FlowTuple& flow) const {
    const net::Address& peer = direction == Direction::kEgress ? flow.destination : flow.source;
    return policy::Judge(snapshot_, *snapshot_.pods.at(name), direction, peer, flow.protocol,
                         flow.destination_port);
  }

  // The kernel cannot know the node's own packets by their address: it asks for a socket, and a
  // packet that is run has none. Then it is judged as a stranger's with that address.
  bool Expected(const model::ObjectName& name, Direction direction,
                const net::FlowTuple& flow) const {
    policy::DirectionVerdict verdict = Judge(name, direction, flow);
    if (direction == Direction::kEgress || verdict.why != policy::Why::kOwnNode)
      return verdict.allowed;
    return image_.Allows(image_.endpoints.at(name).ingress, image_.IdentityOf(flow.source),
                         flow.protocol, flow.destination_port);
  }

  // Both judged at once: the name of the other end. None if its own hook judges it later.
  const model::ObjectName* OtherEnd(const model::ObjectName& name,
                                    const dataplane::Binding& binding,
                                    const net::FlowTuple& flow) const {
    auto other = local_.find(flow.destination);
    bool handed = other != local_.end() && other->second != name && binding.direct &&
                  bindings_.at(other->second).direct &&
                  !image_.node_addresses.contains(flow.destination) &&
                  flow.source != flow.destination;
    return handed ? &other->second : nullptr;
  }

  // A run packet comes unmarked: who has a local pod's address is held to that pod's egress, too.
  const model::ObjectName* Sender(const model::ObjectName& name, const net::FlowTuple& flow) const {
    auto sender = local_.find(flow.source);
    return sender != local_.end() && sender->second != name ? &sender->second : nullptr;
  }

  std::string CompareAt(const model::ObjectName& name, const dataplane::Binding& binding,
                        Direction direction, const net::FlowTuple& flow) {
    bool allowed = Expected(name, direction, flow);
    bool egress = direction == Direction::kEgress;
    policy::Why why = Judge(name, direction, flow).why;
    const net::Address& peer = egress ? flow.destination : flow.source;
    bool by_policy = why != policy::Why::kSelf && (why != policy::Why::kOwnNode || !egress);
    TableTwin twin(tables_);
    Judgement said = twin.Judge(twin.Generation(), binding.ifindex, egress ? SP_EGRESS : SP_INGRESS,
                                peer, flow.protocol, flow.destination_port);
    if (by_policy && said != (allowed ? Judgement::kAllowed : Judgement::kDenied))
      return "the tables say " + std::to_string(static_cast<int>(said)) + ", the API text says " +
             policy::ToString(why);

    const model::ObjectName* sender = egress ? nullptr : Sender(name, flow);
    if (sender && image_.node_addresses.contains(flow.destination)) return "";  // whose is it?
    if (sender) allowed &= Expected(*sender, Direction::kEgress, flow);
    Action wanted = allowed ? Action::kPass : Action::kDrop;
    const model::ObjectName* other = egress && allowed ? OtherEnd(name, binding, flow) : nullptr;
    if (other)
      wanted = Expected(*other, Direction::kIngress, flow) ? Action::kDirect : Action::kDrop;
    std::memset(kernel_.flows(), 0, kOptions.flow_buckets * sizeof(sp_flow_bucket));
    Packet packet = ToPacket(flow);
    if (!CanBeRun(direction, flow)) return "";
    Outcome outcome =
        egress ? kernel_.FromPod(binding.ifindex, packet) : kernel_.ToPod(binding.ifindex, packet);
    if (outcome.action == wanted) return "";
    return "the program returns " + std::to_string(static_cast<int>(outcome.action)) + " for " +
           packet.ToString() + ", " + std::to_string(static_cast<int>(wanted)) +
           " is right: the API text says " + policy::ToString(why);
  }

  Kernel kernel_;
  dataplane::Tables tables_ = MakeTables();
  dataplane::Encoder encoder_;
  model::Snapshot snapshot_;
  policy::Image image_;
  dataplane::Bindings bindings_;
  std::map<net::Address, model::ObjectName> local_;
};

std::string WhatFails(Node& node, const World& world) {
  policy::Image image = policy::Compile(world.snapshot, world.node).image;
  if (std::string wrong = node.Enforce(world.snapshot, image, nullptr); !wrong.empty())
    return wrong;
  for (const net::FlowTuple& flow : world.flows)
    if (std::string wrong = node.Disagreement(flow); !wrong.empty()) return wrong;
  return "";
}

TEST(KernelProperty, JudgesEveryFlowAsTheApiText) {
  Node nodes[] = {Node(false), Node(true)};
  for (uint64_t seed : Seeds(2000)) {
    Node& node = nodes[seed % 2];
    World world = RandomWorld(seed);
    if (WhatFails(node, world).empty()) continue;
    World smallest = Shrink(world, [&](const World& w) { return !WhatFails(node, w).empty(); });
    FAIL() << WhatFails(node, smallest) << "\n" << smallest.ToString();
  }
}

// One world after another comes from small changes, taken over as changes.
TEST(KernelProperty, FollowsChanges) {
  for (uint64_t seed : Seeds(60)) {
    SCOPED_TRACE("SALLYPORT_SEED=" + std::to_string(seed));
    Node node(seed % 2 == 0);
    World world = RandomWorld(seed);
    Random random(seed);
    policy::Compiler compiler(world.node);
    compiler.Apply(AllOf(world.snapshot));
    for (int step = 0; step < 30; ++step) {
      std::vector<model::Delta> deltas;
      for (int i = random.Between(1, 3); i > 0; --i)
        deltas.push_back(RandomDelta(random, world.snapshot));
      for (const model::Delta& delta : deltas) world.snapshot.Apply(delta);
      policy::Changes changes = compiler.Apply(deltas);
      ASSERT_EQ(node.Enforce(world.snapshot, compiler.image(), &changes), "") << step;
      for (const net::FlowTuple& flow : RandomFlows(random, world.snapshot, 20))
        ASSERT_EQ(node.Disagreement(flow), "") << step;
    }
  }
}

// Packets run in the middle of changes, one after each store.
TEST(KernelProperty, NoStoreShowsAnythingBetweenOldAndNew) {
  size_t looks = 0;
  for (uint64_t seed : Seeds(40)) {
    SCOPED_TRACE("SALLYPORT_SEED=" + std::to_string(seed));
    Node node(seed % 2 == 0);
    World world = RandomWorld(seed);
    Random random(seed);
    policy::Compiler compiler(world.node);
    policy::Changes changes = compiler.Apply(AllOf(world.snapshot));
    ASSERT_EQ(node.Enforce(world.snapshot, compiler.image(), nullptr), "");
    for (int step = 0; step < 10; ++step) {
      std::vector<model::Delta> deltas;
      for (int i = random.Between(1, 4); i > 0; --i)
        deltas.push_back(RandomDelta(random, world.snapshot));
      for (const model::Delta& delta : deltas) world.snapshot.Apply(delta);
      changes = compiler.Apply(deltas);
      std::vector<Node::Asked> packets = node.RandomPackets(random, 80);
      std::vector<Node::Opinion> before;
      for (const Node::Asked& packet : packets) before.push_back(node.Think(packet));
      std::string wrong;
      size_t next = 0;
      node.after_store = [&] {
        if (packets.empty() || !wrong.empty()) return;
        size_t i = next++ % packets.size();
        Node::Opinion was = before[i], is = node.Think(packets[i]);
        // Which interface has an address is told in no half: only what is marked has a sender for
        // sure.
        if (!is.here || was.sent_here || is.sent_here) return;
        ++looks;
        Action action = node.Run(packets[i]);
        bool passes = action != Action::kDrop;
        if ((was.both && is.both && !passes) || (!was.own && !is.own && passes) ||
            (!was.both && !is.both && action == Action::kDirect))
          wrong = packets[i].flow.ToString() + " on " + std::to_string(packets[i].ifindex) +
                  (passes ? " passes" : " is dropped") + " after store " + std::to_string(next);
      };
      ASSERT_EQ(node.Enforce(world.snapshot, compiler.image(), &changes), "") << step;
      node.after_store = nullptr;
      ASSERT_EQ(wrong, "") << step;
    }
  }
  EXPECT_GT(looks, 100u);
}

}  // namespace
}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
#include "support/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "support/kernel_loaded.h"
#include "support/kernel_tables.h"

// The skeleton comes after the types of its read-only data.
#include <pod.skel.h>

namespace sallyport::test {
namespace {

std::vector<bool>& Produced() {
  static std::vector<bool> produced(SP_DROP_COUNT, false);
  return produced;
}

}  // namespace

const char* ReasonText(uint32_t reason) {
  switch (reason) {
#define SP_X(number, name, text, help) \
  case number:                         \
    return text;
    SP_DROP_REASONS(SP_X)
#undef SP_X
    default:
      return "unknown";
  }
}

Ports Ports::All() {
  Ports all;
  all.all = true;
  return all;
}

Ports& Ports::Add(int protocol, unsigned first, unsigned last) {
  if (!bits) bits = std::make_shared<std::array<std::bitset<65536>, SP_PROTOCOLS>>();
  for (unsigned port = first; port <= std::max(first, last); port++)
    (*bits)[static_cast<size_t>(protocol)].set(port);
  return *this;
}

struct Kernel::Stated : Statement {};

Kernel::Kernel(const KernelOptions& options)
    : loaded_(Loaded::Get(options)), stated_(std::make_unique<Stated>()) {
  CHECK(!loaded_.in_use) << "one Kernel of the same options at a time";
  loaded_.in_use = true;
  loaded_.read_events = true;
  loaded_.Clear();
}

Kernel::~Kernel() {
  links_.clear();
  for (uint32_t ifindex : filtered_) {
    bpf_tc_hook qdisc{};
    qdisc.sz = sizeof qdisc;
    qdisc.ifindex = static_cast<int>(ifindex);
    qdisc.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
    (void)bpf_tc_hook_destroy(&qdisc);
  }
  loaded_.in_use = false;
}

void Kernel::SetEndpoint(const Endpoint& e) { stated_->endpoints[e.ifindex] = e; }
void Kernel::RemoveEndpoint(uint32_t ifindex) { stated_->endpoints.erase(ifindex); }
void Kernel::SetPeer(Ip address, uint32_t identity, uint32_t ifindex) {
  stated_->peers[address] = {identity, ifindex};
}
void Kernel::SetRule(uint32_t set, uint32_t identity, const Ports& ports) {
  stated_->rules[{set, identity}] = ports;
}
void Kernel::RemoveRule(uint32_t set, uint32_t identity) { stated_->rules.erase({set, identity}); }

void Kernel::SetPrefix(const char* cidr, uint32_t identity) {
  net::Cidr prefix = net::Cidr::Parse(cidr).value();
  stated_->prefixes[{prefix.mapped_length(), prefix.address()}] = identity;
}
void Kernel::RemovePrefix(const char* cidr) {
  net::Cidr prefix = net::Cidr::Parse(cidr).value();
  stated_->prefixes.erase({prefix.mapped_length(), prefix.address()});
}

void Kernel::SetPin(uint32_t set, const char* cidr, uint32_t egress_ip) {
  net::Cidr prefix = net::Cidr::Parse(cidr).value();
  stated_->pins[set][{prefix.mapped_length(), prefix.address()}] = egress_ip;
  WritePins(loaded_.tables, *stated_);
}

void Kernel::SetOutside(Ip address, uint32_t value) {
  sp_address key = ToAbi(address);
  CHECK(bpf_map_update_elem(bpf_map__fd(loaded_.pod_->maps.outside), &key, &value, BPF_ANY) == 0)
      << "cannot say what an address is";
}

void Kernel::NextGeneration() {
  const Tables& t = loaded_.tables;
  WriteHalf(t, *stated_, (t.control->generation + 1) & 1);
  __atomic_store_n(&t.control->generation, t.control->generation + 1, __ATOMIC_SEQ_CST);
  FreeEndpoints(t, *stated_);
}

void Kernel::SpoilOtherHalf() {
  SpoilHalf(loaded_.tables, (loaded_.tables.control->generation + 1) & 1);
}

Outcome Kernel::FromPod(uint32_t ifindex, const Packet& packet, const Arrival& arrival) {
  Outcome outcome = Run(SP_EGRESS, ifindex, packet.bytes(), arrival);
  outcome.packet = "from the pod: " + packet.ToString();
  return outcome;
}

Outcome Kernel::ToPod(uint32_t ifindex, const Packet& packet, const Arrival& arrival) {
  Outcome outcome = Run(SP_INGRESS, ifindex, packet.bytes(), arrival);
  outcome.packet = "to the pod: " + packet.ToString();
  return outcome;
}

Outcome Kernel::ToNode(uint32_t ifindex, const Packet& packet, const Arrival& arrival) {
  Outcome outcome = RunOnNode(ifindex, packet.bytes(), arrival);
  outcome.packet = "to the node: " + packet.ToString();
  return outcome;
}

Outcome Kernel::FromTunnel(uint32_t ifindex, const Packet& packet) {
  Outcome outcome = RunProgram(bpf_program__fd(loaded_.pod_->progs.egress_in), packet.bytes(),
                               ifindex, ifindex, {});
  outcome.packet = "from the tunnel: " + packet.ToString();
  return outcome;
}

Outcome Kernel::RunOnNode(uint32_t ifindex, const Bytes& frame, const Arrival& arrival) {
  return RunProgram(bpf_program__fd(loaded_.pod_->progs.node_ingress), frame, ifindex, ifindex,
                    arrival);
}

Outcome Kernel::FromNode(uint32_t ifindex, const Packet& packet, const Arrival& arrival) {
  Outcome outcome = RunProgram(bpf_program__fd(loaded_.pod_->progs.node_egress), packet.bytes(),
                               ifindex, Interface(kInterfaces - 1), arrival);
  outcome.packet = "from the node: " + packet.ToString();
  return outcome;
}

Outcome Kernel::Run(sp_direction direction, uint32_t ifindex, const Bytes& frame,
                    const Arrival& arrival) {
  return RunProgram(loaded_.ProgramFd(direction), frame, ifindex,
                    direction == SP_EGRESS ? ifindex : Interface(kInterfaces - 1), arrival);
}

Outcome Kernel::RunProgram(int program, const Bytes& frame, uint32_t ifindex,
                           uint32_t ingress_ifindex, const Arrival& arrival) {
  __sk_buff in = {}, out = {};
  in.ifindex = ifindex;
  in.ingress_ifindex = arrival.ingress_ifindex.value_or(ingress_ifindex);
  in.mark = arrival.mark;
  in.gso_size = arrival.gso_size;
  Bytes left(frame.size() + 256);
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = frame.data();
  run.data_size_in = static_cast<uint32_t>(frame.size());
  run.data_out = left.data();
  run.data_size_out = static_cast<uint32_t>(left.size());
  run.ctx_in = &in;
  run.ctx_size_in = sizeof(in);
  run.ctx_out = &out;
  run.ctx_size_out = sizeof(out);
  int failed = bpf_prog_test_run_opts(program, &run);
  CHECK(failed == 0) << "cannot run a frame of " << frame.size()
                     << " bytes: " << std::strerror(-failed);
  Outcome outcome;
  outcome.action = static_cast<Action>(static_cast<int32_t>(run.retval));
  outcome.mark = out.mark;
  left.resize(run.data_size_out);
  outcome.frame = std::move(left);
  outcome.packet = "a frame of " + std::to_string(frame.size()) + " bytes";
  // What a gateway drops it counts only.
  sp_counters counted = outcome.action == Action::kDrop ? Counters(0) : loaded_.counted;
  for (uint32_t d : {SP_EGRESS, SP_INGRESS})
    for (uint32_t r = 1; r < SP_DROP_COUNT; r++)
      if (counted.dropped[d][r] > loaded_.counted.dropped[d][r]) {
        outcome.reason = ReasonText(r);
        Produced()[r] = true;
      }
  loaded_.counted = counted;
  if (auto events = loaded_.Events(); !events.empty()) {
    outcome.event = events.back();
    outcome.reason = ReasonText(outcome.event->reason);
    Produced()[outcome.event->reason] = true;
  }
  return outcome;
}

void Kernel::AttachBoth(uint32_t ifindex, Hook hook, int at_ingress, int at_egress) {
  // tcx, which libbpf 1.1 has no names for.
  constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
  constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
  auto device = static_cast<int>(ifindex);
  if (hook == Hook::kTcx) {
    for (auto [program, type] :
         {std::pair(at_ingress, kTcxIngress), std::pair(at_egress, kTcxEgress)}) {
      int link = bpf_link_create(program, device, type, nullptr);
      CHECK(link >= 0) << "cannot attach: " << std::strerror(-link);
      links_.emplace_back(link);
    }
    return;
  }
  bpf_tc_hook qdisc{};
  qdisc.sz = sizeof qdisc;
  qdisc.ifindex = device;
  qdisc.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
  CHECK(bpf_tc_hook_create(&qdisc) == 0) << "cannot make a clsact qdisc";
  filtered_.push_back(ifindex);
  for (auto [program, point] :
       {std::pair(at_ingress, BPF_TC_INGRESS), std::pair(at_egress, BPF_TC_EGRESS)}) {
    bpf_tc_hook at = qdisc;
    at.attach_point = point;
    bpf_tc_opts options{};
    options.sz = sizeof options;
    options.prog_fd = program;
    CHECK(bpf_tc_attach(&at, &options) == 0) << "cannot attach a filter";
  }
}

void Kernel::Guard(uint32_t ifindex) {
  CHECK(bpf_map_update_elem(bpf_map__fd(loaded_.pod_->maps.guarded), &ifindex, &ifindex, BPF_ANY) ==
        0)
      << "cannot say which interfaces carry the programs";
}

void Kernel::Admit(uint32_t ifindex) {
  int map = bpf_map__fd(loaded_.pod_->maps.entrances);
  CHECK(bpf_map_update_elem(map, &ifindex, &ifindex, BPF_ANY) == 0) << "cannot name an entrance";
}

void Kernel::Attach(uint32_t ifindex, Hook hook) {
  Guard(ifindex);
  // At the interface's ingress is what leaves the pod.
  AttachBoth(ifindex, hook, loaded_.ProgramFd(SP_EGRESS), loaded_.ProgramFd(SP_INGRESS));
}

void Kernel::AttachNode(uint32_t ifindex, Hook hook, bool tunnel) {
  const auto& programs = loaded_.pod_->progs;
  AttachBoth(ifindex, hook,
             bpf_program__fd(tunnel ? programs.tunnel_ingress : programs.node_ingress),
             bpf_program__fd(tunnel ? programs.tunnel_egress : programs.node_egress));
}

void Kernel::AttachTunnel(uint32_t ifindex, Hook hook) {
  AttachBoth(ifindex, hook, bpf_program__fd(loaded_.pod_->progs.egress_in),
             bpf_program__fd(loaded_.pod_->progs.egress_out));
}

std::vector<sp_event> Kernel::TakeEvents() { return loaded_.Events(); }

std::vector<sp_flow*> Kernel::Flows() {
  std::vector<sp_flow*> used;
  for (uint32_t i = 0; i < loaded_.tables.capacity.flow_buckets; i++)
    for (sp_flow& flow : loaded_.tables.flows[i].flow)
      if (flow.state) used.push_back(&flow);
  return used;
}

void Kernel::Age(uint32_t ticks) {
  for (sp_flow* flow : Flows()) flow->seen -= ticks;
}

void Kernel::AgeFragments(uint32_t ticks) {
  int fd = bpf_map__fd(loaded_.pod_->maps.fragments);
  sp_fragment_key key, *previous = nullptr;
  std::vector<sp_fragment_key> keys;
  while (bpf_map_get_next_key(fd, previous, &key) == 0) {
    keys.push_back(key);
    previous = &keys.back();
  }
  for (const sp_fragment_key& one : keys) {
    sp_fragment value;
    CHECK(bpf_map_lookup_elem(fd, &one, &value) == 0) << "a fragment went away";
    value.seen -= ticks;
    CHECK(bpf_map_update_elem(fd, &one, &value, BPF_ANY) == 0) << "cannot change a fragment";
  }
}

sp_counters Kernel::Counters(uint32_t ifindex) {
  uint32_t place = loaded_.tables.capacity.endpoints;
  for (uint32_t i = 0; ifindex && i < loaded_.tables.capacity.endpoints; i++)
    if (loaded_.tables.endpoints[i].ifindex == ifindex) place = i;
  std::vector<sp_counters> each(static_cast<size_t>(libbpf_num_possible_cpus()));
  CHECK(bpf_map_lookup_elem(bpf_map__fd(loaded_.pod_->maps.counters), &place, each.data()) == 0)
      << "cannot read counters";
  sp_counters sum = {};
  for (const sp_counters& one : each) {
    for (uint32_t d : {SP_EGRESS, SP_INGRESS}) {
      sum.packets[d] += one.packets[d];
      sum.bytes[d] += one.bytes[d];
      for (uint32_t r = 0; r < SP_DROP_SLOTS; r++) sum.dropped[d][r] += one.dropped[d][r];
    }
    sum.events_suppressed += one.events_suppressed;
    sum.event_tick = std::max(sum.event_tick, one.event_tick);
  }
  return sum;
}

void Kernel::EndTick() {
  int fd = bpf_map__fd(loaded_.pod_->maps.counters);
  std::vector<sp_counters> each(static_cast<size_t>(libbpf_num_possible_cpus()));
  for (uint32_t place = 0; place <= loaded_.tables.capacity.endpoints; place++) {
    CHECK(bpf_map_lookup_elem(fd, &place, each.data()) == 0) << "cannot read counters";
    for (sp_counters& one : each) one.event_tick--;
    CHECK(bpf_map_update_elem(fd, &place, each.data(), BPF_ANY) == 0) << "cannot write counters";
  }
}

void Kernel::ReadEvents(bool read) { loaded_.read_events = read; }

sp_control* Kernel::control() { return loaded_.tables.control; }
sp_endpoint* Kernel::endpoints() { return loaded_.tables.endpoints; }
sp_peer_bucket* Kernel::peers() { return loaded_.tables.peers; }
sp_rule_bucket* Kernel::rules() { return loaded_.tables.rules; }
sp_port_set* Kernel::port_sets() { return loaded_.tables.port_sets; }
sp_port_page* Kernel::port_pages() { return loaded_.tables.port_pages; }
sp_trie_node* Kernel::prefixes() { return loaded_.tables.prefixes; }
sp_flow_bucket* Kernel::flows() { return loaded_.tables.flows; }

const EgressTables& Kernel::egress() { return loaded_.tables.egress; }

sp_egress_counters Kernel::EgressCounters(uint32_t number) {
  std::vector<sp_egress_counters> each(static_cast<size_t>(libbpf_num_possible_cpus()));
  CHECK(bpf_map_lookup_elem(bpf_map__fd(loaded_.pod_->maps.egress_counters), &number,
                            each.data()) == 0)
      << "cannot read counters";
  sp_egress_counters sum = {};
  for (const sp_egress_counters& one : each) {
    for (int way : {0, 1}) {
      sum.packets[way] += one.packets[way];
      sum.bytes[way] += one.bytes[way];
    }
    sum.opened += one.opened;
    sum.strangers += one.strangers;
    sum.foreign += one.foreign;
  }
  return sum;
}

std::vector<Kernel::Verified> Kernel::VerifiedPrograms() {
  std::vector<Verified> out;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, loaded_.pod_->obj) {
    bpf_prog_info info = {};
    uint32_t size = sizeof(info);
    CHECK(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0) << "no program info";
    out.push_back({bpf_program__name(program), info.verified_insns, info.nr_func_info});
  }
  return out;
}

const std::vector<bool>& ProducedReasons() { return Produced(); }

namespace {

const char* ActionText(Action action) {
  switch (action) {
    case Action::kPass:
      return "passed";
    case Action::kDrop:
      return "dropped";
    case Action::kDirect:
      return "handed over";
  }
  return "given an unknown action";
}

testing::AssertionResult Expect(const Outcome& outcome, Action action, const std::string& reason) {
  if (outcome.action == action && outcome.reason == reason) return testing::AssertionSuccess();
  auto failure = testing::AssertionFailure()
                 << outcome.packet << "\nwas " << ActionText(outcome.action);
  if (!outcome.reason.empty()) failure << " (" << outcome.reason << ")";
  failure << ", should be " << ActionText(action);
  if (!reason.empty()) failure << " (" << reason << ")";
  return failure;
}

}  // namespace

testing::AssertionResult IsPass(const Outcome& outcome) {
  return Expect(outcome, Action::kPass, "");
}
testing::AssertionResult IsDirect(const Outcome& outcome) {
  return Expect(outcome, Action::kDirect, "");
}
testing::AssertionResult IsDrop(const Outcome& outcome, const std::string& reason) {
  return Expect(outcome, Action::kDrop, reason);
}

}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
// What a packet costs at a pod's interface: nanoseconds of processor time in pod_egress by
// BPF_PROG_TEST_RUN, less those of an empty program.
//
// usage: bench_packets [--json] [ROUNDS]. Needs root. A row is the fastest of its rounds less the
// fastest round of the empty program: what else runs on the machine only ever adds. The row
// "nothing" measures the empty program against itself and shows the noise that is left.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "support/kernel_tables.h"
#include "support/mapped_tables.h"
#include "support/packet.h"

// The skeleton comes after the types of its read-only data.
#include <vary.skel.h>

namespace sallyport::test {
namespace {

constexpr uint32_t kSet = 1;
constexpr uint16_t kOpenPort = 443, kDeniedPort = 444;
constexpr uint32_t kRepeats = 100000;

struct Scenario {
  std::string name;
  uint32_t flows = 1;     // in turn
  uint32_t networks = 1;  // that peers are spread over: no more than there are rules
  bool v6 = false;
  bool isolated = true;
  bool denied = false;
  bool fresh = false;  // the flow table is empty at the start of each round
  bool dead = false;   // ... or full of flows that are not alive any more
  bool empty = false;  // measure the empty program twice
  bool local = false;  // the peer is an endpoint here, and packets are handed over
  uint32_t repeats = kRepeats;
};

const std::vector<Scenario> kScenarios = {
    {.name = "nothing", .empty = true},
    {.name = "established, 1 flow"},
    {.name = "established, 1 flow, IPv6", .v6 = true},
    {.name = "established, 1 flow, both ends here", .local = true},
    {.name = "established, 1 flow, not isolated", .isolated = false},
    {.name = "established, 50,000 flows in turn", .flows = 50000, .networks = 10},
    {.name = "established, 50,000 flows, IPv6", .flows = 50000, .networks = 10, .v6 = true},
    {.name = "new flow, allowed", .flows = kRepeats, .networks = 10, .fresh = true},
    {.name = "new flow, allowed, all peers in turn",
     .flows = kRepeats,
     .networks = 0,
     .fresh = true},
    {.name = "new flow, allowed, IPv6",
     .flows = kRepeats,
     .networks = 10,
     .v6 = true,
     .fresh = true},
    {.name = "new flow, among dead ones", .flows = kRepeats, .networks = 10, .dead = true},
    {.name = "denied, 1 flow", .denied = true},
    {.name = "denied, 50,000 flows in turn", .flows = 50000, .networks = 10, .denied = true},
};

// The object with its tables at their default sizes, and `rules` rules, CIDRs and peers in them.
class Subject {
 public:
  explicit Subject(uint32_t rules);
  ~Subject();
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  // One round: nanoseconds a packet, of the empty program and of the one to be measured.
  std::pair<double, double> Measure(const Scenario& scenario);
  uint32_t rules() const { return rules_; }

 private:
  void State();
  void Prepare(const Scenario& scenario);
  void KillFlows();
  double Run(bpf_program* program, const Scenario& scenario);

  uint32_t rules_;
  vary* vary_;
  Tables tables_;
  std::optional<MappedTables> memory_;
  Statement stated_;
};

Subject::Subject(uint32_t rules) : rules_(rules), vary_(vary__open()) {
  CHECK(vary_) << "cannot open the BPF object";
  KernelOptions& o = tables_.capacity;
  o = {.endpoints = SP_ENDPOINTS,
       .peer_buckets = SP_PEER_BUCKETS,
       .rule_buckets = SP_RULE_BUCKETS,
       .port_sets = SP_PORT_SETS,
       .port_pages = SP_PORT_PAGES,
       .trie_nodes = SP_TRIE_NODES,
       .flow_buckets = SP_FLOW_BUCKETS,
       .fragments = SP_FRAGMENTS};
  sp_config& c = vary_->rodata->config;
  c = {.endpoint_mask = o.endpoints - 1,
       .peer_mask = o.peer_buckets - 1,
       .rule_mask = o.rule_buckets - 1,
       .flow_mask = o.flow_buckets - 1,
       .mark = o.mark,
       .anti_spoofing = 1,
       .fast_path = 1,
       .events_per_tick = SP_EVENTS_PER_TICK,
       .hash_seed = o.hash_seed};
  bpf_program__set_autoload(vary_->progs.pod_egress, false);
  bpf_program__set_autoload(vary_->progs.pod_ingress, false);
  CHECK(vary__load(vary_) == 0) << "cannot load the BPF object (root is needed)";
  memory_.emplace(vary_->obj, tables_);
  State();
}

Subject::~Subject() {
  memory_.reset();
  vary__destroy(vary_);
}

// Identity i + 1 is the network 10.n.n.0/24 (fd00:n::/32) and the pod 172.16.0.0 + i; each has its
// rule. Loopback stands for the pod's interface: the test run takes packets for that one's.
void Subject::State() {
  Ports ports = Ports().Tcp(80).Udp(kOpenPort);
  for (uint32_t i = 0; i < rules_; i++) {
    net::Address v4 = net::Address::V4(0x0a000000 + (i << 8));
    net::Address::Bytes v6 = {0xfd, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    stated_.prefixes[{96 + 24, v4}] = i + 1;
    stated_.prefixes[{32, net::Address(v6)}] = i + 1;
    stated_.peers[net::Address::V4(0xac100000 + i)] = {i + 1, 0};
    stated_.rules[{kSet, i + 1}] = ports;
  }
  stated_.rules[{kSet, 0}] = Ports::None();
  tables_.control->abi_version = SP_ABI_VERSION;
}

void Subject::Prepare(const Scenario& s) {
  uint32_t set = s.isolated ? kSet : 0;
  stated_.endpoints = {{1, {.ifindex = 1, .v4 = "192.168.0.1", .v6 = "fd01::1", .egress = set}}};
  stated_.peers.erase(Ip("10.0.0.1"));
  if (s.local) {
    stated_.endpoints[2] = {.ifindex = 2, .v4 = "10.0.0.1"};
    stated_.peers[Ip("10.0.0.1")] = {1, 2};
  }
  WriteHalf(tables_, stated_, (tables_.control->generation + 1) & 1);
  tables_.control->generation++;
  FreeEndpoints(tables_, stated_);
  std::memset(tables_.flows, 0, sizeof(sp_flow_bucket) * size_t{tables_.capacity.flow_buckets});
  vary_->bss->bench_next = 0;
  vary_->data->bench_flows = s.flows;
  vary_->data->bench_networks = s.networks ? s.networks : rules_;
}

void Subject::KillFlows() {
  for (uint32_t i = 0; i < tables_.capacity.flow_buckets; i++)
    for (uint32_t way = 0; way < SP_FLOW_WAYS; way++) {
      sp_flow& flow = tables_.flows[i].flow[way];
      flow.seen -= 10 * SP_LIFE_ESTABLISHED;
      flow.key.low.halves[0] ^= 1;  // another flow's: it is not found again
    }
}

double Subject::Run(bpf_program* program, const Scenario& s) {
  auto payload = Payload(26);
  auto udp = UDP{.dport = s.denied ? kDeniedPort : kOpenPort};
  Packet packet = s.v6 ? Ethernet() / IPv6{.src = "fd01::1"} / udp / payload
                       : Ethernet() / IPv4{.src = "192.168.0.1"} / udp / payload;
  Bytes frame = packet.bytes();
  LIBBPF_OPTS(bpf_test_run_opts, run);
  run.data_in = frame.data();
  run.data_size_in = static_cast<uint32_t>(frame.size());
  run.repeat = static_cast<int>(s.repeats);
  timespec before, after;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  CHECK(bpf_prog_test_run_opts(bpf_program__fd(program), &run) == 0) << "cannot run a packet";
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  bool expected = program == vary_->progs.vary_empty ? run.retval == static_cast<uint32_t>(-1)
                  : s.denied                         ? run.retval == 2
                  : s.local                          ? run.retval == 7
                                                     : run.retval == static_cast<uint32_t>(-1);
  CHECK(expected) << s.name << ": the packet's verdict is " << static_cast<int>(run.retval);
  auto ns = static_cast<double>(after.tv_sec - before.tv_sec) * 1e9 +
            static_cast<double>(after.tv_nsec - before.tv_nsec);
  return ns / s.repeats;
}

std::pair<double, double> Subject::Measure(const Scenario& s) {
  Prepare(s);
  if (!s.fresh) Run(vary_->progs.vary_egress, s);
  if (s.dead) KillFlows();
  vary_->bss->bench_next = 0;
  double empty = Run(vary_->progs.vary_empty, s);
  vary_->bss->bench_next = 0;
  return {empty, Run(s.empty ? vary_->progs.vary_empty : vary_->progs.vary_egress, s)};
}

// The fastest rounds so far.
struct Best {
  void Add(std::pair<double, double> round) {
    empty = std::min(empty, round.first);
    full = std::min(full, round.second);
  }
  double ns() const { return full - empty; }

  double empty = 1e9;
  double full = 1e9;
};

void Print(const Scenario& s, const std::vector<Subject*>& subjects, const std::vector<Best>& best,
           bool json, bool last) {
  if (json) {
    for (size_t i = 0; i < subjects.size(); i++)
      std::printf("  {\"name\": \"%s\", \"rules\": %u, \"ns\": %.1f}%s\n", s.name.c_str(),
                  subjects[i]->rules(), best[i].ns(), last && i + 1 == subjects.size() ? "" : ",");
    return;
  }
  std::printf("%-38s", s.name.c_str());
  for (const Best& each : best) std::printf(" %12.1f", each.ns());
  std::printf("\n");
}

int Main(int argc, char** argv) {
  bool json = argc > 1 && std::strcmp(argv[1], "--json") == 0;
  int rounds = argc > 1 + json ? std::atoi(argv[1 + json]) : 31;
  if (rounds < 1) {
    std::fprintf(stderr, "usage: bench_packets [--json] [ROUNDS]\n");
    return 2;
  }
  Subject few(10), many(10000);
  std::vector<Subject*> subjects = {&few, &many};
  if (json)
    std::printf("[\n");
  else
    std::printf("%-38s %12s %12s\n", "ns per packet", "10 rules", "10,000 rules");
  for (const Scenario& s : kScenarios) {
    std::vector<Best> best(subjects.size());
    for (int round = 0; round < rounds; round++)
      for (size_t i = 0; i < subjects.size(); i++) best[i].Add(subjects[i]->Measure(s));
    Print(s, subjects, best, json, &s == &kScenarios.back());
    std::fflush(stdout);
  }
  if (json) std::printf("]\n");
  return 0;
}

}  // namespace
}  // namespace sallyport::test

int main(int argc, char** argv) { return sallyport::test::Main(argc, argv); }

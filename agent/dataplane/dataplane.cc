// SPDX-License-Identifier: Apache-2.0
#include "dataplane/dataplane.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <type_traits>
#include <unordered_set>

#include "dataplane/bpf_calls.h"
#include "dataplane/encoder.h"
#include "dataplane/flow_sweeper.h"
#include "dataplane/flows.h"
#include "dataplane/links.h"
#include "dataplane/loader.h"
#include "dataplane/mapped.h"
#include "dataplane/port_use.h"
#include "dataplane/upgrade.h"

namespace sallyport::dataplane {
namespace {

// The kernel's clock for ticks and events.
uint64_t CoarseNow() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint32_t TickNow() { return static_cast<uint32_t>(CoarseNow() >> SP_TICK_SHIFT); }

void Sum(const sp_counters& cpu, Counters& out) {
  for (int direction = 0; direction < 2; ++direction) {
    out.packets[direction] += cpu.packets[direction];
    out.bytes[direction] += cpu.bytes[direction];
    for (uint32_t reason = 0; reason < SP_DROP_COUNT; ++reason)
      if (uint64_t n = cpu.dropped[direction][reason]; n > 0)
        out.dropped[direction][ReasonName(reason)] += n;
  }
  out.events_suppressed += cpu.events_suppressed;
}

// Makes the keys of a hash map these.
Status FillSet(int map, const std::set<uint32_t>& keys) {
  for (uint32_t key : KeysOf(map))
    if (!keys.contains(key))
      if (Status status = DeleteElement(map, key); !status.ok()) return status;
  for (uint32_t key : keys)
    if (Status status = WriteElement(map, key, &key); !status.ok()) return status;
  return Ok();
}

class KernelDataplane : public Dataplane {
 public:
  Status Start(const Options& options);

  Status Attach(uint32_t ifindex, const std::string& name) override {
    // Before: what goes around the programs on the interface is known to have come through it.
    Status status = WriteElement(objects_->guarded(), ifindex, &ifindex);
    if (status.ok()) status = WithLinks([&] { return links_->Attach(ifindex, Role::kPod); });
    if (status.ok()) return status;
    return std::move(status).error().Context("attach to " + name + " (interface " +
                                             std::to_string(ifindex) + ")");
  }
  Status AttachNode(uint32_t ifindex, const std::string& name, Role role) override {
    Status status = WithLinks([&] { return links_->Attach(ifindex, role); });
    if (status.ok()) status = DeleteElement(objects_->guarded(), ifindex);
    if (status.ok()) return status;
    return std::move(status).error().Context("attach to " + name + " (the node's interface " +
                                             std::to_string(ifindex) + ")");
  }
  Status Detach(uint32_t ifindex) override {
    Status status = WithLinks([&] { return links_->Detach(ifindex); });
    if (status.ok()) status = DeleteElement(objects_->guarded(), ifindex);
    if (status.ok()) return status;
    return std::move(status).error().Context("detach from interface " + std::to_string(ifindex));
  }
  void Close(const std::vector<uint32_t>& interfaces) override {
    for (uint32_t ifindex : interfaces)
      (void)WriteElement(objects_->guarded(), ifindex, &ifindex);  // else Attach() will say why
    WithLinks([&] { links_->Close(interfaces); });
  }
  std::vector<Disturbance> Disturbed(const std::set<uint32_t>& interfaces, bool filters) override {
    return WithLinks([&] { return links_->Disturbed(interfaces, filters); });
  }
  std::vector<uint32_t> Attached() override { return WithRole(true); }
  std::vector<uint32_t> AttachedToNode() override { return WithRole(false); }
  void Defer(bool defer) override { encoder_->Defer(defer); }
  Status Enclose(const Enclosure& enclosure) override;

  Status Apply(const policy::Image& image, const policy::Changes* changes,
               const Bindings& bindings) override {
    Status status = encoder_->Apply(image, changes, bindings);
    return status.ok() && upgrade_ ? TakeOver() : status;
  }
  std::vector<Shortfall> shortfalls() const override { return encoder_->shortfalls(); }
  void Forget(uint32_t ifindex) override;
  Status Settle() override { return encoder_->Settle(); }
  size_t SweepFlows() override;
  EgressTables* egress() override { return egress_.get(); }
  std::map<net::Address, EgressUse> ReadEgressUse() override;
  uint32_t EgressRefusals() override;
  uint32_t generation() const override { return encoder_->generation(); }
  const std::vector<std::string>& notes() const override { return notes_; }

  std::map<uint32_t, Counters> ReadCounters() override;
  std::vector<FlowEntry> ReadFlows(size_t limit) override;
  uint64_t CountKept() override;
  std::vector<TableUse> ReadUse() override;
  Status PollEvents(Duration timeout, const std::function<void(const DropEvent&)>& sink) override;

 private:
  Status StartLinks(const Options& options);
  void CloseOthers();
  Status BeforeFlip();
  Status TakeOver();
  // They are others once an upgrade is done, and two threads use them.
  template <typename Body>
  std::invoke_result_t<Body> WithLinks(const Body& body) const {
    std::lock_guard lock(links_mutex_);
    return body();
  }
  std::vector<uint32_t> WithRole(bool pods) const {
    std::vector<uint32_t> out;
    for (const auto& [ifindex, role] : WithLinks([this] { return links_->Attached(); }))
      if ((role == Role::kPod) == pods) out.push_back(ifindex);
    return out;
  }
  using PerCpu = std::vector<sp_counters>;
  // Makes the table of guarded interfaces what is so.
  Status Guard();
  Counters ReadPlace(uint32_t place, PerCpu& room) const;
  Result<Mapped> MapFlows(bool writable = false) const {
    return Mapped::Open(objects_->flows(), objects_->flow_buckets() * sizeof(sp_flow_bucket),
                        writable);
  }

  UniqueFd lock_;
  std::string pins_;
  AttachMode attach_ = AttachMode::kAuto;
  std::vector<std::string> notes_;
  std::unique_ptr<KernelObjects> objects_;
  GracePeriod grace_;
  std::unique_ptr<EgressTables> egress_;
  std::unique_ptr<Encoder> encoder_;
  mutable std::mutex links_mutex_;
  std::unique_ptr<Links> links_;
  Links::Programs programs_;
  std::unique_ptr<Upgrade> upgrade_;  // while an older version's tables are in force
  std::unique_ptr<RingReader> events_;
};

Status KernelDataplane::Start(const Options& options) {
  Result<UniqueFd> lock = LockPins(options.pins);
  if (!lock) return std::move(lock).error();
  lock_ = *std::move(lock);
  pins_ = options.pins;
  attach_ = options.attach;
  auto upgrade = Upgrade::Find(pins_);
  if (!upgrade) return std::move(upgrade).error();
  upgrade_ = *std::move(upgrade);
  auto objects = KernelObjects::Open(options, upgrade_.get(), &notes_);
  if (!objects) return std::move(objects).error();
  objects_ = *std::move(objects);
  Result<GracePeriod> grace = GracePeriod::Open();
  if (!grace) return std::move(grace).error();
  grace_ = *std::move(grace);

  Surroundings around;
  around.grace_period = [this] { return grace_.Wait(); };
  around.reset_counters = [this](uint32_t place) {
    PerCpu zero(static_cast<size_t>(PossibleCpus()));
    (void)WriteElement(objects_->counters(), place, zero.data());  // then they go on counting
  };
  around.before_flip = [this] { return BeforeFlip(); };
  egress_ = std::make_unique<EgressTables>(
      objects_->egress(), [this](const sp_address& address, std::optional<uint32_t> what) {
        return what ? WriteKey(objects_->outside(), &address, &*what)
                    : DeleteKey(objects_->outside(), &address);
      });
  around.egress_number = [this](const net::Address& ip) { return egress_->NumberOf(ip); };
  around.keep_egress_numbers = [this](const std::set<net::Address>& ips) {
    egress_->KeepNumbers(ips);
  };
  if (Status status = StartLinks(options); !status.ok()) return status;
  CloseOthers();
  encoder_ = std::make_unique<Encoder>(objects_->tables(), around);
  encoder_->Defer(false);
  if (Status status = encoder_->Adopt(); !status.ok()) return status;
  if (Status status = Guard(); !status.ok()) return status;
  auto events = RingReader::Open(objects_->events());
  if (!events) return std::move(events).error();
  events_ = *std::move(events);
  return Ok();
}

Status KernelDataplane::StartLinks(const Options& options) {
  for (Role role : {Role::kPod, Role::kNode, Role::kTunnel, Role::kEgress}) {
    for (sp_direction direction : {SP_EGRESS, SP_INGRESS}) {
      int fd = objects_->program(role, direction);
      Result<ProgramInfo> info = InfoOfProgram(fd);
      if (!info) return std::move(info).error();
      programs_[role].fd[direction] = fd;
      programs_[role].id[direction] = info->id;
    }
  }
  programs_.ways = objects_->ways();
  Links::Programs programs = programs_;
  if (upgrade_) {
    auto gates = upgrade_->MakeGates(objects_->control(), programs_);
    if (!gates) return std::move(gates).error();
    programs = *std::move(gates);
    notes_.push_back("version " + std::to_string(upgrade_->version()) +
                     " of the tables stays in force until all is known that is to be enforced");
  }
  auto links = Links::Open(pins_, programs, options.attach);
  if (!links) return std::move(links).error();
  links_ = *std::move(links);
  return upgrade_ ? upgrade_->GatesStand() : Upgrade::Clean(pins_, objects_->maps());
}

Status KernelDataplane::BeforeFlip() {
  if (!upgrade_) return Ok();
  if (upgrade_->version() < SP_CONFIRMS_SINCE) {
    Result<Mapped> flows = MapFlows(/*writable=*/true);
    if (!flows) return std::move(flows).error().Context("table \"flows\"");
    ConfirmAnswered(flows->As<sp_flow_bucket>(), upgrade_->generation() + 1);
  }
  return upgrade_->Announce();
}

// Without a length they match nothing while they change.
Status KernelDataplane::Enclose(const Enclosure& enclosure) {
  constexpr int kLongest = 96;  // of IPv6
  Pen pen;
  sp_control* control = objects_->tables().control;
  if (!enclosure.entrances) pen.Update(control->home_length, control->home_length & ~SP_ENCLOSED);
  const auto& entrances = enclosure.entrances.value_or(std::set<uint32_t>{});
  if (Status status = FillSet(objects_->entrances(), entrances); !status.ok())
    return std::move(status).error().Context("table \"entrances\"");
  uint32_t words[4] = {}, lengths = enclosure.entrances ? SP_ENCLOSED : 0;
  for (const net::Cidr& cidr : enclosure.home) {
    auto length = static_cast<uint32_t>(cidr.length());
    sp_address address = ToAbi(cidr.address());
    uint64_t high = be64toh(address.halves[0]), low = be64toh(address.halves[1]);
    if (cidr.IsV4()) {
      words[0] = static_cast<uint32_t>(low);
      lengths |= length;
    } else if (cidr.length() <= kLongest) {
      words[1] = static_cast<uint32_t>(high >> 32);
      words[2] = static_cast<uint32_t>(high);
      words[3] = static_cast<uint32_t>(low >> 32);
      lengths |= length << 8;
    }
  }
  if (!std::equal(words, words + 4, control->home)) {
    pen.Store(control->home_length, control->home_length & SP_ENCLOSED);
    for (int i = 0; i < 4; ++i) pen.Store(control->home[i], words[i]);
  }
  pen.Store(control->home_length, lengths);
  return Ok();
}

// Where nothing is known that differs from nothing, Apply has left the older tables in force. After
// the flip the gates lead to our programs, so whatever fails here may be tried again.
Status KernelDataplane::TakeOver() {
  sp_control* control = objects_->tables().control;
  if (generation() == upgrade_->generation()) {
    if (Status status = BeforeFlip(); !status.ok()) return status;
    Pen().Store(control->generation, upgrade_->generation() + 1);
  }
  // What was answered meanwhile, and has not been judged since.
  if (upgrade_->version() < SP_CONFIRMS_SINCE)
    if (Result<Mapped> flows = MapFlows(/*writable=*/true); flows)
      ConfirmAnswered(flows->As<sp_flow_bucket>(), generation());
  Status status = upgrade_->Finish();
  if (status.ok()) {
    std::lock_guard lock(links_mutex_);
    auto links = Links::Open(pins_, programs_, attach_);
    if (links)
      links_ = *std::move(links);
    else
      status = std::move(links).error();
  }
  if (status.ok()) status = Upgrade::Clean(pins_, objects_->maps());
  if (!status.ok()) return std::move(status).error().Context("take over from an older version");
  upgrade_.reset();
  return Ok();
}

// An interface that does not carry our programs is not the one that was opened under its index.
void KernelDataplane::CloseOthers() {
  std::vector<uint32_t> attached = Attached();
  std::set<uint32_t> carriers(attached.begin(), attached.end());
  if (upgrade_) upgrade_->CloseAllBut(carriers);
  Pen pen;
  for (sp_endpoint& endpoint : objects_->tables().endpoints) {
    if (endpoint.ifindex == 0 || carriers.contains(endpoint.ifindex)) continue;
    for (uint32_t half : {0, 1}) pen.Update(endpoint.flags[half], 0);
  }
}

// Not as if nothing were there: so the encoder finds something to change, whatever comes next, and
// does not take what it would write for what is in force.
void KernelDataplane::Forget(uint32_t ifindex) {
  if (upgrade_) upgrade_->Close(ifindex);
  auto place = encoder_->places().find(ifindex);
  if (place == encoder_->places().end()) return;
  Pen pen;
  sp_endpoint& endpoint = objects_->tables().endpoints[place->second];
  for (uint32_t half : {0, 1}) pen.Update(endpoint.flags[half], SP_ENDPOINT_DIRECT);
}

// While no agent ran, interfaces may have gone.
Status KernelDataplane::Guard() {
  const std::vector<uint32_t> attached = Attached();
  Status status = FillSet(objects_->guarded(), {attached.begin(), attached.end()});
  return status.ok() ? Ok() : Status(std::move(status).error().Context("table \"guarded\""));
}

Counters KernelDataplane::ReadPlace(uint32_t place, PerCpu& room) const {
  Counters out;
  if (ReadElement(objects_->counters(), place, room.data()).ok())
    for (const sp_counters& cpu : room) Sum(cpu, out);
  return out;
}

std::map<uint32_t, Counters> KernelDataplane::ReadCounters() {
  static_assert(sizeof(sp_counters) % 8 == 0);
  PerCpu room(static_cast<size_t>(PossibleCpus()));
  std::map<uint32_t, Counters> out;
  for (const auto& [ifindex, place] : encoder_->places()) out[ifindex] = ReadPlace(place, room);
  out[0] = ReadPlace(static_cast<uint32_t>(objects_->tables().endpoints.size()), room);
  return out;
}

std::vector<FlowEntry> KernelDataplane::ReadFlows(size_t limit) {
  Result<Mapped> flows = MapFlows();
  if (!flows) return {};
  Result<Mapped> pins = Mapped::Open(
      objects_->pins(), objects_->flow_buckets() * sizeof(sp_pin_bucket), /*writable=*/false);
  std::span<const sp_pin_bucket> beside;
  if (pins) beside = pins->As<const sp_pin_bucket>();
  return LiveFlows(flows->As<const sp_flow_bucket>(), beside, generation(), TickNow(), limit);
}

std::map<net::Address, EgressUse> KernelDataplane::ReadEgressUse() {
  std::map<net::Address, EgressUse> out;
  const uint32_t now = TickNow();
  std::map<net::Address, PortUse> ports;
  if (Result<Mapped> flows = MapFlows(); flows)
    ports = ReadPortUse(flows->As<const sp_flow_bucket>(), now);
  EgressTables::Memory memory = objects_->egress();
  std::vector<sp_egress_counters> each(static_cast<size_t>(PossibleCpus()));
  for (const auto& [number, address] : egress_->Numbers()) {
    EgressUse& use = out[address];
    for (const auto& [first, group] : ports[address].groups) {
      if (group.live) use.live[first] = group.live;
      if (group.resting) use.resting[first] = group.resting;
      if (group.busiest) use.busiest[first] = group.busiest;
    }
    use.refused = memory.ips[number].refused;
    use.hurried = memory.ips[number].hurried;
    use.cursor = memory.ips[number].cursor;
    if (!ReadElement(objects_->egress_counters(), number, each.data()).ok()) continue;
    for (const sp_egress_counters& one : each) {
      use.opened += one.opened;
      use.strangers += one.strangers;
      use.foreign += one.foreign;
      for (int way : {0, 1}) {
        use.packets[way] += one.packets[way];
        use.bytes[way] += one.bytes[way];
      }
    }
  }
  return out;
}

uint32_t KernelDataplane::EgressRefusals() {
  uint32_t out = 0;
  EgressTables::Memory memory = objects_->egress();
  for (const auto& [number, address] : egress_->Numbers()) out += memory.ips[number].refused;
  return out;
}

// Closed ones may be opened again: who carries the programs is there.
size_t KernelDataplane::SweepFlows() {
  if (upgrade_) return 0;  // an older version's endpoints have flows here
  Result<Mapped> flows = MapFlows(/*writable=*/true);
  if (!flows) return 0;
  std::vector<uint32_t> guarded = KeysOf(objects_->guarded());
  std::unordered_set<uint32_t> here(guarded.begin(), guarded.end());
  for (const auto& [ifindex, place] : encoder_->places()) here.insert(ifindex);
  return dataplane::SweepFlows(flows->As<sp_flow_bucket>(),
                               [&](uint32_t ifindex) { return here.contains(ifindex); });
}

uint64_t KernelDataplane::CountKept() {
  Result<Mapped> flows = MapFlows();
  if (!flows) return 0;
  return CountKeptFlows(flows->As<const sp_flow_bucket>(), generation(), TickNow());
}

std::vector<TableUse> KernelDataplane::ReadUse() {
  std::vector<TableUse> out = encoder_->Use();
  out.push_back({"guarded", KeysOf(objects_->guarded()).size(), SP_GUARDED});
  uint64_t fragments = 0;
  const uint32_t now = TickNow();
  Status read = ForEachValue(objects_->fragments(), [&](const void* value) {
    fragments += FragmentIsLive(*static_cast<const sp_fragment*>(value), now) ? 1 : 0;
  });
  if (read.ok()) out.push_back({"fragments", fragments, objects_->most_fragments()});
  if (Result<uint64_t> events = RingUse(objects_->events()); events)
    out.push_back(
        {"events", std::min<uint64_t>(*events, objects_->event_bytes()), objects_->event_bytes()});
  if (Result<Mapped> flows = MapFlows(); flows)
    out.push_back({"flows", CountLiveFlows(flows->As<const sp_flow_bucket>(), TickNow()),
                   uint64_t{objects_->flow_buckets()} * SP_FLOW_WAYS});
  return out;
}

Status KernelDataplane::PollEvents(Duration timeout,
                                   const std::function<void(const DropEvent&)>& sink) {
  return events_->Poll(timeout, [&](const void* data, size_t size) {
    sp_event event{};
    if (size < sizeof event) return;
    std::memcpy(&event, data, sizeof event);
    Duration age(static_cast<int64_t>(CoarseNow() - event.time_ns));
    WallTime time = SystemClock().WallNow() - std::chrono::duration_cast<WallTime::duration>(age);
    sink(ToDropEvent(event, time));
  });
}

}  // namespace

Result<std::unique_ptr<Dataplane>> Dataplane::Open(const Options& options) {
  auto dataplane = std::make_unique<KernelDataplane>();
  if (Status status = dataplane->Start(options); !status.ok()) return std::move(status).error();
  return std::unique_ptr<Dataplane>(std::move(dataplane));
}

Status Dataplane::RemoveAll(const std::string& pins) {
  std::error_code none;
  if (!std::filesystem::exists(pins, none)) return Ok();
  Result<UniqueFd> lock = LockPins(pins);
  if (!lock) return std::move(lock).error();
  CaptureBpfLog();
  // The programs' pins go after what they are on: filters are known by them.
  if (Status links = Links::RemoveAll(pins); !links.ok()) return links;
  for (const char* folder : {"/maps", "/links", "/programs", "/ways"}) {
    std::filesystem::remove_all(pins + folder, none);
    if (none) return ErrnoError("remove " + pins + folder, none.value());
  }
  if (::rmdir(pins.c_str()) != 0 && errno != ENOTEMPTY && errno != EBUSY)
    return ErrnoError("remove " + pins);
  return Ok();
}

}  // namespace sallyport::dataplane

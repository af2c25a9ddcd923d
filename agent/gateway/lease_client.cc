// SPDX-License-Identifier: Apache-2.0
#include "gateway/lease_client.h"

#include <thread>
#include <utility>

#include "gateway/lease_requests.h"
#include "gateway/worker.h"

namespace sallyport::gateway {
namespace {

// More than the blocks that a node may have on the way at once.
constexpr size_t kMostAsked = 256;

egress::BlockLease AsLastUnderstood(egress::BlockLease good, const LeaseObject& now) {
  good.renew_time = now.renew_time;
  good.meta = now.meta;
  return good;
}

// Why it is not understood; "" if it is.
std::string ProblemOf(const LeaseObject& lease) {
  if (egress::ParseAddressName(lease.name)) return "";
  auto block = ToBlock(lease);
  return block ? "" : block.error().message;
}

}  // namespace

void LeaseBook::BeginList() {
  for (auto& [name, entry] : entries_) entry.listed = false;
}

std::optional<egress::BlockLease> LeaseBook::BlockOf(const LeaseObject& lease) const {
  auto id = egress::ParseBlockName(lease.name);
  if (!id) return std::nullopt;
  if (auto block = ToBlock(lease)) return *std::move(block);
  auto known = entries_.find(lease.name);
  if (known != entries_.end() && known->second.good && known->second.meta.uid == lease.meta.uid)
    return AsLastUnderstood(*known->second.good, lease);
  return ClosedBlock(*id, lease);
}

std::optional<egress::AddressLease> LeaseBook::AddressOf(const LeaseObject& lease) const {
  auto address = ToAddress(lease);
  if (!address) return std::nullopt;
  return *std::move(address);
}

void LeaseBook::Set(std::string_view object) {
  auto lease = ReadLease(object);
  if (!lease) return events_.Problem(lease.error().message);
  auto it = entries_.find(lease->name);
  if (it != entries_.end() && it->second.meta.uid != lease->meta.uid) {
    Forget(it->first, it->second);
    entries_.erase(it);
    it = entries_.end();
  }
  bool known = it != entries_.end();
  auto block = BlockOf(*lease);
  auto address = AddressOf(*lease);
  std::string problem = ProblemOf(*lease);
  bool told = known && it->second.meta == lease->meta;
  Entry entry{lease->meta, std::nullopt, true};
  if (problem.empty() || (known && it->second.good)) entry.good = block;
  entries_[lease->name] = std::move(entry);
  if (!problem.empty() && !told) events_.Problem(problem);
  if (block) events_.Set(*block);
  if (address) events_.Set(*address);
}

void LeaseBook::Forget(const std::string& name, const Entry& entry) {
  const std::string& uid = entry.meta.uid;
  if (auto id = egress::ParseBlockName(name)) events_.RemoveBlock(*id, uid);
  if (auto address = egress::ParseAddressName(name)) events_.RemoveAddress(*address, uid);
}

void LeaseBook::Remove(std::string_view object) {
  auto lease = ReadLease(object);
  if (!lease) return events_.Problem(lease.error().message);
  auto it = entries_.find(lease->name);
  if (it == entries_.end()) return;
  Forget(it->first, it->second);
  entries_.erase(it);
}

void LeaseBook::EndList() {
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->second.listed) {
      ++it;
    } else {
      Forget(it->first, it->second);
      it = entries_.erase(it);
    }
  }
  events_.Listed();
}

// The sink that the reflector has: the book, one event at a time.
class LeaseClient::Impl : public watch::ObjectSink {
 public:
  Impl(kube::Client& client, std::string ns, LeaseEvents& events,
       const watch::ReflectorOptions& options)
      : client_(client),
        ns_(std::move(ns)),
        events_(events),
        book_(events),
        blocks_(kMostAsked, [this](const egress::BlockAction& action,
                                   const std::stop_token& stop) { Do(action, stop); }),
        addresses_(kMostAsked, [this](const egress::AddressAction& action,
                                      const std::stop_token& stop) { Do(action, stop); }),
        watch_([this, options](const std::stop_token& stop) { Follow(options, stop); }) {}
  // All threads first: an event of one may still ask something of another.
  ~Impl() override {
    watch_.request_stop();
    watch_.join();
    blocks_.Stop();
    addresses_.Stop();
  }

  bool Push(const egress::BlockAction& action) { return blocks_.Push(action); }
  bool Push(const egress::AddressAction& action) { return addresses_.Push(action); }

  void BeginList() override {
    std::lock_guard lock(mutex_);
    book_.BeginList();
  }
  void Set(std::string_view object) override {
    std::lock_guard lock(mutex_);
    book_.Set(object);
  }
  void Remove(std::string_view object) override {
    std::lock_guard lock(mutex_);
    book_.Remove(object);
  }
  void EndList() override {
    std::lock_guard lock(mutex_);
    book_.EndList();
  }

 private:
  void Follow(const watch::ReflectorOptions& options, const std::stop_token& stop) {
    watch::Resource resource{
        "leases.coordination.k8s.io",
        "/apis/coordination.k8s.io/v1/namespaces/" + kube::EncodeUrl(ns_) + "/leases",
        "labelSelector=" + kube::EncodeUrl(kLeaseLabel), false};
    auto on_state = [this](const watch::WatchState& state) {
      std::lock_guard lock(mutex_);
      events_.State(state);
    };
    watch::RunReflector(resource, client_, *this, options, on_state, stop);
  }

  template <typename Action>
  LeaseAnswer Request(const Action& action, const std::stop_token& stop) {
    LeaseRequests requests(
        [&](const kube::Request& request) { return client_.Send(request, stop); }, ns_);
    LeaseObject lease = ToObject(action.lease);
    switch (action.kind) {
      case Action::Kind::kCreate:
        return requests.Create(lease);
      case Action::Kind::kUpdate:
        return requests.Replace(lease);
      default:
        return requests.Delete(lease);
    }
  }

  void Do(const egress::BlockAction& action, const std::stop_token& stop) {
    LeaseAnswer answer = Request(action, stop);
    std::lock_guard lock(mutex_);
    if (stop.stop_requested()) return;
    std::optional<egress::BlockLease> stands;
    if (answer.stands) stands = book_.BlockOf(*answer.stands);
    events_.Done(action, answer.outcome, stands, answer.error);
  }
  void Do(const egress::AddressAction& action, const std::stop_token& stop) {
    LeaseAnswer answer = Request(action, stop);
    std::lock_guard lock(mutex_);
    if (stop.stop_requested()) return;
    std::optional<egress::AddressLease> stands;
    if (answer.stands) stands = book_.AddressOf(*answer.stands);
    events_.Done(action, answer.outcome, stands, answer.error);
  }

  kube::Client& client_;
  const std::string ns_;
  LeaseEvents& events_;
  std::mutex mutex_;  // of events and book
  LeaseBook book_;
  Worker<egress::BlockAction> blocks_;
  Worker<egress::AddressAction> addresses_;
  std::jthread watch_;
};

LeaseClient::LeaseClient(kube::Client& client, std::string ns, LeaseEvents& events,
                         const watch::ReflectorOptions& options)
    : impl_(std::make_unique<Impl>(client, std::move(ns), events, options)) {}
LeaseClient::~LeaseClient() = default;

bool LeaseClient::Ask(const egress::BlockAction& action) { return impl_->Push(action); }
bool LeaseClient::Ask(const egress::AddressAction& action) { return impl_->Push(action); }

}  // namespace sallyport::gateway

// SPDX-License-Identifier: Apache-2.0
// A kernel that remembers what it was told, in order, and fails when the test says so.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "dataplane/dataplane.h"

namespace sallyport::dataplane {

class FakeDataplane : public Dataplane {
 public:
  Status Attach(uint32_t ifindex, const std::string&) override {
    return Do("attach " + std::to_string(ifindex), [&] {
      attached.insert(ifindex);
      watched.erase(ifindex);
    });
  }
  Status AttachNode(uint32_t ifindex, const std::string&, Role role) override {
    std::lock_guard lock(mutex_);
    if (std::string("node").starts_with(failing_.first)) {
      return Error{"the test says no", failing_.second};
    }
    attached.erase(ifindex);
    watched[ifindex] = role;
    return Ok();
  }
  void Close(const std::vector<uint32_t>& interfaces) override {
    std::string what = "close";
    for (uint32_t ifindex : interfaces) what += " " + std::to_string(ifindex);
    if (interfaces.size() > 1) (void)Do(what, [] {});
  }
  std::vector<Disturbance> Disturbed(const std::set<uint32_t>& interfaces, bool) override {
    std::lock_guard lock(mutex_);
    std::vector<Disturbance> out;
    for (uint32_t ifindex : interfaces) {
      if (!attached.contains(ifindex) && !watched.contains(ifindex)) {
        out.push_back({true, ifindex, ""});
      } else if (behind.contains(ifindex)) {
        out.push_back({false, ifindex, "program 9 comes before ours"});
        if (!stubborn) behind.erase(ifindex);
      }
    }
    return out;
  }
  std::vector<uint32_t> AttachedToNode() override {
    std::lock_guard lock(mutex_);
    std::vector<uint32_t> out;
    for (const auto& [ifindex, role] : watched) out.push_back(ifindex);
    return out;
  }
  void Defer(bool defer) override { deferring = defer; }
  Status Enclose(const Enclosure& enclosure) override {
    if (std::string("enclose").starts_with(failing_.first))
      return Error{"the test says no", failing_.second};
    inside = enclosure;
    return Ok();
  }
  Status Detach(uint32_t ifindex) override {
    return Do("detach " + std::to_string(ifindex), [&] {
      attached.erase(ifindex);
      watched.erase(ifindex);
    });
  }
  std::vector<uint32_t> Attached() override {
    std::lock_guard lock(mutex_);
    return {attached.begin(), attached.end()};
  }
  Status Apply(const policy::Image& new_image, const policy::Changes* new_changes,
               const Bindings& new_bindings) override {
    std::string what = new_changes ? "apply" : "apply all";
    for (const auto& [pod, binding] : new_bindings) {
      what += " " + pod.name + "@" + std::to_string(binding.ifindex);
    }
    return Do(what, [&] {
      image = new_image;
      changes = new_changes ? *new_changes : policy::Changes();
      bindings = new_bindings;
      ++generation_;
    });
  }
  std::vector<Shortfall> shortfalls() const override { return short_of; }
  void Forget(uint32_t ifindex) override {
    (void)Do("forget " + std::to_string(ifindex), [] {});
  }
  Status Settle() override {
    return Do("settle", [] {});
  }
  size_t SweepFlows() override {
    ++sweeps;
    return 0;
  }
  uint32_t generation() const override { return generation_; }
  std::map<uint32_t, Counters> ReadCounters() override {
    if (out_of_memory) throw std::bad_alloc();
    return counters;
  }
  std::vector<FlowEntry> ReadFlows(size_t limit) override {
    auto out = flows;
    if (out.size() > limit) out.resize(limit);
    return out;
  }
  uint64_t CountKept() override { return kept; }
  std::vector<TableUse> ReadUse() override { return {{"flows", 1, 100}}; }
  Status PollEvents(Duration, const std::function<void(const DropEvent&)>&) override {
    return Ok();
  }

  // Every call that changes something since the last time, in order: "attach 3; apply web@3".
  std::string TakeLog() {
    std::lock_guard lock(mutex_);
    std::string out;
    for (const std::string& entry : log_) out += (out.empty() ? "" : "; ") + entry;
    log_.clear();
    return out;
  }
  // The next calls that begin so fail, with this errno.
  void Fail(const std::string& prefix, int code = 5) { failing_ = {prefix, code}; }
  void Heal() { failing_ = {"-", 0}; }

  std::set<uint32_t> attached;
  std::map<uint32_t, Role> watched;  // the node's own; not in the log
  std::set<uint32_t> behind;         // somebody is before our programs
  bool stubborn = false;             // and stays there, whoever attaches
  bool deferring = false;
  Enclosure inside;
  policy::Image image;
  policy::Changes changes;
  Bindings bindings;
  std::vector<Shortfall> short_of;  // after each Apply
  std::map<uint32_t, Counters> counters;
  std::vector<FlowEntry> flows;
  uint64_t kept = 0;
  int sweeps = 0;
  std::atomic<bool> out_of_memory = false;  // when counters are read

 private:
  template <typename Change>
  Status Do(const std::string& what, Change change) {
    std::lock_guard lock(mutex_);
    if (what.starts_with(failing_.first)) {
      log_.push_back(what + " fails");
      return Error{"the test says no", failing_.second};
    }
    log_.push_back(what);
    change();
    return Ok();
  }

  mutable std::mutex mutex_;
  std::vector<std::string> log_;
  std::pair<std::string, int> failing_{"-", 0};
  uint32_t generation_ = 0;
};

}  // namespace sallyport::dataplane

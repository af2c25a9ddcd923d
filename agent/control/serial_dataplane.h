// SPDX-License-Identifier: Apache-2.0
// A dataplane for several threads. Attaching and the tables have nothing in common (dataplane.h),
// and each goes on while the other is under way: a new interface does not wait for a change of
// policy to be in force. Of each kind, one call at a time.
#pragma once

#include <mutex>

#include "dataplane/dataplane.h"

namespace sallyport::control {

class SerialDataplane : public dataplane::Dataplane {
 public:
  explicit SerialDataplane(std::unique_ptr<dataplane::Dataplane> inner)
      : inner_(std::move(inner)) {}

  Status Attach(uint32_t ifindex, const std::string& name) override {
    std::lock_guard lock(links_);
    return inner_->Attach(ifindex, name);
  }
  Status AttachNode(uint32_t ifindex, const std::string& name, dataplane::Role role) override {
    std::lock_guard lock(links_);
    return inner_->AttachNode(ifindex, name, role);
  }
  void Close(const std::vector<uint32_t>& interfaces) override {
    std::lock_guard lock(links_);
    inner_->Close(interfaces);
  }
  std::vector<dataplane::Disturbance> Disturbed(const std::set<uint32_t>& interfaces,
                                                bool filters) override {
    std::lock_guard lock(links_);
    return inner_->Disturbed(interfaces, filters);
  }
  std::vector<uint32_t> AttachedToNode() override {
    std::lock_guard lock(links_);
    return inner_->AttachedToNode();
  }
  void Defer(bool defer) override {
    std::lock_guard lock(tables_);
    inner_->Defer(defer);
  }
  Status Enclose(const dataplane::Enclosure& enclosure) override {
    std::lock_guard lock(tables_);
    return inner_->Enclose(enclosure);
  }
  Status Detach(uint32_t ifindex) override {
    std::lock_guard lock(links_);
    return inner_->Detach(ifindex);
  }
  std::vector<uint32_t> Attached() override {
    std::lock_guard lock(links_);
    return inner_->Attached();
  }
  Status Apply(const policy::Image& image, const policy::Changes* changes,
               const dataplane::Bindings& bindings) override {
    std::lock_guard lock(tables_);
    return inner_->Apply(image, changes, bindings);
  }
  std::vector<dataplane::Shortfall> shortfalls() const override {
    std::lock_guard lock(tables_);
    return inner_->shortfalls();
  }
  void Forget(uint32_t ifindex) override {
    std::lock_guard lock(tables_);
    inner_->Forget(ifindex);
  }
  Status Settle() override {
    std::lock_guard lock(tables_);
    return inner_->Settle();
  }
  size_t SweepFlows() override {
    std::lock_guard lock(tables_);
    return inner_->SweepFlows();
  }
  // Both go their own way: who tells of gateways does not wait for a change of policy.
  dataplane::EgressTables* egress() override { return inner_->egress(); }
  std::map<net::Address, dataplane::EgressUse> ReadEgressUse() override {
    return inner_->ReadEgressUse();
  }
  uint32_t EgressRefusals() override { return inner_->EgressRefusals(); }
  uint32_t generation() const override {
    std::lock_guard lock(tables_);
    return inner_->generation();
  }
  std::map<uint32_t, dataplane::Counters> ReadCounters() override {
    std::lock_guard lock(tables_);
    return inner_->ReadCounters();
  }
  std::vector<dataplane::FlowEntry> ReadFlows(size_t limit) override {
    std::lock_guard lock(tables_);
    return inner_->ReadFlows(limit);
  }
  uint64_t CountKept() override {
    std::lock_guard lock(tables_);
    return inner_->CountKept();
  }
  std::vector<dataplane::TableUse> ReadUse() override {
    std::lock_guard lock(tables_);
    return inner_->ReadUse();
  }
  Status PollEvents(Duration timeout,
                    const std::function<void(const dataplane::DropEvent&)>& sink) override {
    return inner_->PollEvents(timeout, sink);
  }

 private:
  std::mutex links_;
  mutable std::mutex tables_;
  std::unique_ptr<dataplane::Dataplane> inner_;
};

}  // namespace sallyport::control

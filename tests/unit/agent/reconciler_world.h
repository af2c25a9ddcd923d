// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/reconciler.h"
#include "support/temporary.h"
#include "unit/agent/fake_dataplane.h"
#include "unit/agent/tracker_world.h"

namespace sallyport::control {

// A reconciler in front of a kernel that remembers; the doorkeeper closes what is new.
class ReconcilerTest : public testing::Test {
 protected:
  void Start() {
    doorkeeper_ = std::make_unique<Doorkeeper>(
        kernel_, left_alone_, filter_,
        [this](LinksChanged links) { told_.push_back(std::move(links)); });
    reconciler_ = std::make_unique<Reconciler>(
        "n1", kernel_, endpoint::Tracker("n1", filter_, resolver_), left_alone_, clock_);
  }
  // As after a first start with nothing there.
  void StartListed() {
    Start();
    Links({});
    Claims({});
    Objects({}, true);
    kernel_.TakeLog();
  }
  void Links(std::vector<endpoint::Link> set, std::vector<uint32_t> gone = {}) {
    Hear(std::move(set), std::move(gone));
    while (doorkeeper_->Work()) {
    }
    TakeLinks();
  }
  void Hear(std::vector<endpoint::Link> set, std::vector<uint32_t> gone = {}) {
    doorkeeper_->Hear({.set = std::move(set), .gone = std::move(gone), .addresses = {}});
  }
  // What the doorkeeper has told so far, at once.
  void TakeLinks() {
    for (const LinksChanged& links : std::exchange(told_, {})) reconciler_->Take(links);
    reconciler_->Reconcile();
  }
  void Claims(const std::vector<endpoint::ClaimOf>& claims) {
    endpoint::CniUpdate update;
    for (const endpoint::ClaimOf& claim : claims) update.set.push_back(claim.Make());
    update.listed = true;
    reconciler_->Take(update);
    reconciler_->Reconcile();
  }
  void Objects(std::vector<model::Delta> deltas, bool complete = true) {
    reconciler_->Take(ObjectsChanged{std::move(deltas), {}, complete});
    reconciler_->Reconcile();
  }
  // As the loop does when nothing comes.
  void LookAfter(Duration time) {
    clock_.Advance(time);
    if (reconciler_->Look() || reconciler_->IsDue()) reconciler_->Reconcile();
  }
  static model::Delta Set(const endpoint::PodOf& pod) { return model::Delta::Set(pod.Make()); }
  std::string Log() { return kernel_.TakeLog(); }

  test::TemporaryDirectory pins_;
  FakeClock clock_;
  dataplane::FakeDataplane kernel_;
  endpoint::FakeResolver resolver_;
  endpoint::DeviceFilter filter_;
  LeftAlone left_alone_{pins_.path()};
  std::unique_ptr<Doorkeeper> doorkeeper_;
  std::vector<LinksChanged> told_;
  std::unique_ptr<Reconciler> reconciler_;
};

}  // namespace sallyport::control

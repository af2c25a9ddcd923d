// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "unit/agent/tracker_world.h"

namespace sallyport::endpoint {

class TrackerTest : public testing::Test {
 protected:
  void Set(const Link& link) { tracker_.Update({.set = {link}, .gone = {}, .addresses = {}}); }
  void Gone(uint32_t ifindex) { tracker_.Update({.set = {}, .gone = {ifindex}, .addresses = {}}); }
  void RoutesChanged() {
    tracker_.Update({.set = {}, .gone = {}, .addresses = {}, .routes_changed = true});
  }
  void Set(const ClaimOf& claim) { tracker_.SetClaim(claim.Make()); }
  void Set(const PodOf& pod) { tracker_.SetPod(pod.Make()); }

  // "web@3 db@4": pods and their interfaces
  std::string Placed() {
    std::string out;
    for (const auto& [pod, placement] : tracker_.Decide().placements) {
      out += (out.empty() ? "" : " ") + pod.name + "@" + std::to_string(placement.ifindex);
    }
    return out;
  }
  std::string WhyClosed(uint32_t ifindex) {
    auto decision = tracker_.Decide();
    auto it = decision.sightings.find(ifindex);
    return it == decision.sightings.end() ? "not a candidate" : it->second.why_closed;
  }

  FakeResolver resolver_;
  Tracker tracker_{"n1", DeviceFilter(), resolver_};
};

}  // namespace sallyport::endpoint

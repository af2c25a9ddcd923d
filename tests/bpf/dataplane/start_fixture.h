// SPDX-License-Identifier: Apache-2.0
// A dataplane on the pins of one that ended.
#pragma once

#include <string>
#include <utility>

#include "abi/tables.h"
#include "bpf/dataplane/two_pods.h"
#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {

class StartTest : public TwoPods {
 protected:
  std::string MapPath(const std::string& name) { return options_.pins + "/maps/" + name; }
  UniqueFd Map(const std::string& name) {
    auto pin = OpenPin(MapPath(name));
    EXPECT_TRUE(pin) << name;
    return pin ? *std::move(pin) : UniqueFd();
  }
  sp_control ReadControl() {
    sp_control control{};
    EXPECT_TRUE(ReadElement(Map("control").get(), 0, &control).ok());
    return control;
  }
  void WriteControl(const sp_control& control) {
    EXPECT_TRUE(WriteElement(Map("control").get(), 0, &control).ok());
  }
  std::string Refused() {
    auto opened = Dataplane::Open(options_);
    return opened ? "" : opened.error().message;
  }
};

}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// Which interfaces were there before the agent's first start on this node: traffic ran through them
// without us, and goes on until they turn out to be a pod's. Everything else is closed at once.
//
// Kept where the pins are, because it is true exactly as long: one symbolic link an interface,
// "left-alone-<ifindex>" -> its name, and "started" once the list is complete (bpffs holds links
// but no plain files).
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/result.h"
#include "endpoint/link.h"

namespace sallyport::control {

class LeftAlone {
 public:
  // `pins` exists when the other calls come.
  explicit LeftAlone(std::string pins) : pins_(std::move(pins)) {}

  // Of the interfaces that are there now: those to leave alone. On the first start all that are not
  // attached already, and they are remembered; later those remembered that are still the same.
  Result<std::set<uint32_t>> Start(const endpoint::Links& interfaces,
                                   const std::set<uint32_t>& attached);
  // It has become an endpoint, or has gone. Fine if it is not remembered.
  void Forget(uint32_t ifindex);
  // Takes everything that is remembered away; for the whole pin directory's end.
  Status Clear();

 private:
  Status Remember(const std::string& entry, const std::string& text);
  Result<std::set<uint32_t>> First(const endpoint::Links& interfaces,
                                   const std::set<uint32_t>& attached);
  Result<std::set<uint32_t>> Again(const endpoint::Links& interfaces,
                                   const std::set<uint32_t>& attached);

  std::string pins_;
};

}  // namespace sallyport::control

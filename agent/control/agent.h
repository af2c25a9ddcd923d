// SPDX-License-Identifier: Apache-2.0
// The running agent: the threads and what flows between them (README.md of agent/).
#pragma once

#include <memory>

#include "base/result.h"
#include "control/config.h"

namespace sallyport::control {

class Agent {
 public:
  // Enforces from here on. The error says what to do.
  static Result<std::unique_ptr<Agent>> Start(const Config& config);
  // Ends the threads; what is in force stays.
  ~Agent();

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Takes away everything that an agent left below the configured pins. Returns what that was, for a
// person.
Result<std::string> RemoveEnforcement(const Config& config);

}  // namespace sallyport::control

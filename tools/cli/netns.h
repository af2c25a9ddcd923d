// SPDX-License-Identifier: Apache-2.0
// Which network namespace the calling thread is in.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sallyport::probe {

// Moves the calling thread between network namespaces. For a thread that ends afterwards: nothing
// brings it back.
class NetnsVisitor {
 public:
  // Enters the namespace that `path` names; empty: the one in which the thread was at first. Free
  // where it is there already.
  Status Enter(const std::string& path);

 private:
  UniqueFd home_;
  std::optional<std::string> current_;
};

}  // namespace sallyport::probe

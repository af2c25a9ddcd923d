// SPDX-License-Identifier: Apache-2.0
// Where pods may go, where there is policy: ten networks, the last one the outside's.
#pragma once

#include <string>
#include <vector>

namespace sallyport::bench {

inline std::vector<std::string> Allowlist() {
  std::vector<std::string> blocks;
  for (int i = 0; i < 9; ++i) blocks.push_back("172." + std::to_string(16 + i) + ".40.0/24");
  blocks.emplace_back("203.0.113.0/24");
  return blocks;
}

}  // namespace sallyport::bench

// SPDX-License-Identifier: Apache-2.0
// The clsact qdisc, and the filters that hang on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/bpf_calls.h"

namespace sallyport::dataplane {

struct Filter {
  FilterPlace place;
  std::string kind;      // "bpf", "u32", ...
  uint32_t program = 0;  // of one of kind "bpf"
};
// Those on a hook, in the order in which they are asked about a packet. None where there is no such
// qdisc or interface.
Result<std::vector<Filter>> FiltersAt(uint32_t ifindex, sp_direction direction);

// Removes the interface's clsact qdisc if no filter of anybody is left on it.
Status RemoveEmptyClsact(uint32_t ifindex);

}  // namespace sallyport::dataplane

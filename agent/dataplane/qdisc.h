// SPDX-License-Identifier: Apache-2.0
// The clsact qdisc that filters hang on.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace sallyport::dataplane {

// Removes the interface's clsact qdisc if no filter of anybody is left on it.
Status RemoveEmptyClsact(uint32_t ifindex);

}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// Where a pod of this node lives, by what can be seen from outside of it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace sallyport::cli {

// The path of a network namespace, not the caller's, that has one of the addresses on an interface:
// of those in /run/netns, and of those of running processes. Needs root. The error says what to do.
Result<std::string> FindNetns(const std::vector<net::Address>& addresses);

}  // namespace sallyport::cli

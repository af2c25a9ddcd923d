// SPDX-License-Identifier: Apache-2.0
// Network namespaces that benchmarks measure in: "spt-bench-<place>".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sallyport::bench {

std::string SpaceName(const std::string& place);

// Runs a shell command on the machine, or in a namespace. Throw std::runtime_error if it fails.
void Shell(const std::string& command);
void RunIn(const std::string& place, const std::string& command);

// The calling thread lives there from now on.
void EnterSpace(const std::string& place);
// On a thread of its own; what it throws is thrown here.
void CallIn(const std::string& place, const std::function<void()>& body);

// Ends what runs there first. Those that are not there are fine.
void RemoveSpaces(const std::vector<std::string>& places);

// Of an interface there.
uint32_t IfindexIn(const std::string& place, const std::string& interface);
// Packets that the interface has received. Of the caller's namespace.
uint64_t ReceivedPackets(const std::string& interface);

}  // namespace sallyport::bench

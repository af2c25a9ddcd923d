// SPDX-License-Identifier: Apache-2.0
// What the agents of a lab hold: memory, files, entries of tables, pins.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sallyport::soak {

// Of one agent.
struct Holding {
  size_t resident = 0;  // KiB
  size_t files = 0;     // descriptors
  size_t pins = 0;
  std::map<std::string, uint64_t> tables;  // entries in use, by the table's name
};

// By node. Throws std::runtime_error where an agent does not answer.
std::map<std::string, Holding> Holdings(const std::string& lab,
                                        const std::vector<std::string>& nodes);

// What has grown from `before` to `after`, a line each; empty: nothing. Tables and pins may not
// grow at all, but for flows, which end on their own; files by four, as connections come and go;
// memory by a tenth and 8 MiB.
std::vector<std::string> Grown(const std::map<std::string, Holding>& before,
                               const std::map<std::string, Holding>& after);

}  // namespace sallyport::soak

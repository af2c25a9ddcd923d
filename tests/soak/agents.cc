// SPDX-License-Identifier: Apache-2.0
#include "soak/agents.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "lab/daemons.h"
#include "lab/layout.h"
#include "lab/settle.h"

namespace sallyport::soak {
namespace {

namespace fs = std::filesystem;

size_t Entries(const std::string& directory) {
  size_t count = 0;
  std::error_code error;
  for ([[maybe_unused]] const auto& entry : fs::recursive_directory_iterator(directory, error))
    ++count;
  return count;
}

size_t Resident(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; file >> word;)
    if (word == "VmRSS:") {
      size_t kib = 0;
      file >> kib;
      return kib;
    }
  return 0;
}

}  // namespace

std::map<std::string, Holding> Holdings(const std::string& lab,
                                        const std::vector<std::string>& nodes) {
  std::map<std::string, Holding> out;
  lab::Layout layout(lab);
  for (const std::string& node : nodes) {
    pid_t pid = lab::DaemonPid(layout, lab::AgentDaemon(node));
    auto status = lab::AskAgent(layout.socket(node), "/v1/status");
    if (pid <= 0 || !status)
      throw std::runtime_error("the agent of " + node + " does not answer" +
                               (status ? "" : ": " + status.error().message));
    Holding& holding = out[node];
    holding.resident = Resident(pid);
    holding.files = Entries("/proc/" + std::to_string(pid) + "/fd");
    holding.pins = Entries(layout.pins(node));
    for (const lab::Value& table : lab::Items(status->Find("tables")))
      holding.tables[lab::TextAt(table, {"name"})] =
          std::strtoull(lab::TextAt(table, {"used"}).c_str(), nullptr, 10);
  }
  return out;
}

std::vector<std::string> Grown(const std::map<std::string, Holding>& before,
                               const std::map<std::string, Holding>& after) {
  std::vector<std::string> out;
  auto tell = [&](const std::string& node, const std::string& what, uint64_t from, uint64_t to,
                  uint64_t most) {
    if (to > most)
      out.push_back(node + ": " + what + " from " + std::to_string(from) + " to " +
                    std::to_string(to));
  };
  for (const auto& [node, was] : before) {
    const Holding& is = after.at(node);
    tell(node, "resident KiB", was.resident, is.resident, was.resident * 11 / 10 + 8192);
    tell(node, "open files", was.files, is.files, was.files + 4);
    tell(node, "pins", was.pins, is.pins, was.pins);
    for (const auto& [table, used] : was.tables)
      if (table != "flows") tell(node, "table " + table, used, is.tables.at(table), used);
  }
  return out;
}

}  // namespace sallyport::soak

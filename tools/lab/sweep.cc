// SPDX-License-Identifier: Apache-2.0
#include "lab/sweep.h"

#include <signal.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "lab/files.h"
#include "lab/layout.h"
#include "lab/netns.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr Duration kGoneWithin = std::chrono::seconds(10);
constexpr int kMostRounds = 10;

std::vector<std::string> NamespacesOf(const std::string& lab) {
  std::vector<std::string> out;
  for (const std::string& name : ListNetns())
    if (LabOfNetns(name) == lab) out.push_back(name);
  return out;
}

// In rounds: what is killed may have been about to start another.
Status EndAll(const std::string& lab) {
  std::vector<std::string> paths;
  for (const std::string& name : NamespacesOf(lab)) paths.push_back(NetnsPath(name));
  std::string marker = std::string(kMarker) + "=" + lab;
  for (int round = 0; round < kMostRounds; ++round) {
    std::vector<pid_t> pids = FindProcesses(paths, marker);
    if (pids.empty()) return Ok();
    EndProcesses(pids, SIGKILL, kGoneWithin);
  }
  std::string left;
  for (pid_t pid : FindProcesses(paths, marker)) left += " " + std::to_string(pid);
  if (left.empty()) return Ok();
  return Error{"processes of lab " + lab + " do not end:" + left, 0};
}

}  // namespace

bool AnythingLeft(const std::string& lab) {
  return access(Layout(lab).run().c_str(), F_OK) == 0 || !NamespacesOf(lab).empty();
}

Status Sweep(const std::string& lab) {
  if (Status ended = EndAll(lab); !ended) return ended;
  Status status = Ok();
  for (const std::string& name : NamespacesOf(lab))
    if (Status removed = RemoveNetns(name); !removed) status = std::move(removed);
  if (Status removed = RemoveTree(Layout(lab).run()); !removed) status = std::move(removed);
  return status;
}

}  // namespace sallyport::lab

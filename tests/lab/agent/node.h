// SPDX-License-Identifier: Apache-2.0
// A node of the test's own, with real agents on it: directories, processes, questions to their
// local APIs. Interfaces, CNI results and manifests are made by hand, by no lab and no Kubernetes.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "model/document.h"

namespace sallyport::test {

// The agent of this build, or the next one's: the same with other tables (SP_NEXT).
enum class AgentVersion { kThis, kNext };

// What one agent reads and writes, below a directory in the sandbox.
class AgentFiles {
 public:
  explicit AgentFiles(const std::string& name);
  ~AgentFiles();
  AgentFiles(const AgentFiles&) = delete;
  AgentFiles& operator=(const AgentFiles&) = delete;

  std::string manifests() const { return root_ + "/manifests"; }
  std::string results() const { return root_ + "/results"; }
  std::string socket() const { return root_ + "/run/agent.sock"; }
  const std::string& pins() const { return pins_; }
  // Whose turn it is: which one starts with these files, and takes its programs off at the end.
  AgentVersion version() const { return version_; }
  void Use(AgentVersion version) { version_ = version; }

  void WriteManifest(const std::string& file, const std::string& text) const;
  void RemoveManifest(const std::string& file) const;
  // A Pod object in namespace "shop" on node "n1", label app=NAME.
  void WritePod(const std::string& name, const std::vector<std::string>& addresses = {}) const;
  // A policy in "shop" that isolates app=NAME for ingress, and lets in whom `rule` says.
  void WritePolicy(const std::string& name, const std::string& rule = "") const;
  // A CNI result for pod shop/NAME. Without `host_interface` it names only the pod's eth0.
  void WriteResult(const std::string& name, const std::vector<std::string>& addresses,
                   const std::string& host_interface, const std::string& netns = "",
                   const std::string& uid = "") const;
  void RemoveResult(const std::string& name) const;
  void MakeResults() const;

 private:
  std::string root_;
  std::string pins_;
  AgentVersion version_ = AgentVersion::kThis;
};

// A running sallyportd.
class AgentProcess {
 public:
  // With these files, for node n1, and with more flags; with --kubeconfig as the first of them it
  // has no manifests. In the test's network namespace, or
  // another.
  explicit AgentProcess(const AgentFiles& files, std::vector<std::string> flags = {},
                        const std::string& netns = "");
  // Ends it; what it enforces stays.
  ~AgentProcess();
  AgentProcess(const AgentProcess&) = delete;
  AgentProcess& operator=(const AgentProcess&) = delete;

  // Sends the signal and waits for the end. Returns the exit code, or minus the signal that ended
  // it.
  int End(int signal);
  void Signal(int signal) const;
  // Waits for it to end by itself.
  int Wait();
  pid_t pid() const { return pid_; }
  const std::string& log_file() const { return log_; }
  std::string Log() const;

 private:
  pid_t pid_ = -1;
  std::string log_;
};

// Runs `sallyportd FLAGS` to its end; its output, and its exit code in `code`.
std::string RunAgent(const std::vector<std::string>& flags, int& code,
                     AgentVersion version = AgentVersion::kThis);

// One question to the local API; null while nobody answers.
model::Value Ask(const AgentFiles& files, const std::string& path);

// Asks until `is_so`; fails the test, with the last answer, when that takes a very long time.
using Check = std::function<bool(const model::Value&)>;
bool Becomes(const AgentFiles& files, const std::string& path, const Check& is_so);

// Shorter: the agent has put everything into force.
bool Ready(const AgentFiles& files);
// An endpoint of the pod ("shop/NAME"; "" nobody's) in that state ("open", "closed") on the device.
bool HasEndpoint(const AgentFiles& files, const std::string& pod, const std::string& state,
                 const std::string& device);
// No endpoint on the device.
bool HasNoEndpoint(const AgentFiles& files, const std::string& device);
// A diagnostic that contains this text.
bool HasDiagnostic(const AgentFiles& files, const std::string& text);
// The policies in force that select pods here: "shop/a shop/b".
bool HasPolicies(const AgentFiles& files, const std::string& names);

}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
// A cluster for measuring the way from the API to the kernel: the lab's API server with as many
// pods as wanted, one real agent, and two pods of its node that really are there. All in the
// sandbox's network namespace. Throws std::runtime_error where something cannot be made.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kube/client.h"
#include "support/sandbox.h"

namespace sallyport::bench {

// A program of ours that runs as long as this lives.
class Process {
 public:
  Process(std::vector<std::string> argv, const std::string& log);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Seconds of processor time so far; MiB resident now, and at most so far.
  double CpuSeconds() const;
  double ResidentMib() const;
  double PeakMib() const;

 private:
  double StatusMib(const char* field) const;
  pid_t pid_ = -1;
};

class World {
 public:
  World();
  ~World();

  // The API, as an administrator. Fails the run on anything but a 2xx.
  void Post(const std::string& path, const std::string& object);
  void MergePatch(const std::string& path, const std::string& patch);

  // Adds pods of other nodes: `count` in all, as big as real ones, some hundred to a namespace.
  void FillWithPods(int count);
  int pods() const { return filled_; }

  // Pods shop/a and shop/b of node n1 are on the API and have interfaces and CNI results.
  void MakeShop();
  // One more pod in the shop, on n1: on the API, with this label; its CNI result.
  void AddPod(const std::string& name, const std::string& label, const test::Pod& pod);
  void WriteResult(const std::string& name, const test::Pod& pod);
  const test::Pod& a() const { return *a_; }
  const test::Pod& b() const { return *b_; }

  // Starts the agent of node n1, and waits until it says that it is ready.
  void StartAgent();
  const Process& agent() const { return *agent_; }
  // Asks the agent `path` until the answer satisfies.
  void WaitForAgent(const std::string& path, const std::function<bool(const std::string&)>& is_so);
  // For how many seconds of its own clock the last StartAgent() waited.
  double ready_after() const { return ready_after_; }

 private:
  void StartServer();
  std::string root_;
  std::unique_ptr<Process> server_;
  std::unique_ptr<kube::Client> client_;
  std::unique_ptr<test::Pod> a_, b_;
  std::unique_ptr<Process> agent_;
  int filled_ = 0;
  double ready_after_ = 0;
};

double NowSeconds();

}  // namespace sallyport::bench

// SPDX-License-Identifier: Apache-2.0
// A container of the DaemonSet, run as a kubelet would have it run: the image's files, read-only;
// the mounts, arguments and capabilities that the YAML says, and no others. (podman would do, but
// for kernels with hybrid control groups.)
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/document.h"

namespace sallyport::test {

// The one document of that kind in what `kubectl kustomize` makes of a folder of daemonset/.
model::Value ReadKustomized(const std::string& folder, const std::string& kind);
// The value at a path of keys; a null one where there is none.
const model::Value& At(const model::Value& value, const std::vector<std::string>& path);

struct ContainerPlan {
  std::vector<std::string> arguments;     // of the image's entry point
  std::vector<std::string> capabilities;  // "NET_ADMIN"
  struct Mount {
    std::string from, to;
    bool read_only = false;
  };
  std::vector<Mount> mounts;
  std::vector<std::string> environment{"NODE_NAME=n1", "PATH=/usr/bin"};
};
// `list` is "containers" or "initContainers". Ends the test program where the YAML asks for more
// than this can do: what it leaves out would not be tested. hostPath volumes are mounted from
// where `places` says; "config" is the ConfigMap.
ContainerPlan PlanOf(const model::Value& daemonset, const std::string& list,
                     const std::map<std::string, std::string>& places);

// A program started by the test that does not outlive it.
class Child {
 public:
  // In a container of the image's files below `root`.
  Child(const std::string& root, const ContainerPlan& plan, const std::string& log);
  // In the test's own surroundings.
  Child(const std::vector<std::string>& command, const std::string& log);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Sends the signal (0: none) and waits for the end: exit code, or minus the signal that ended it.
  int End(int signal);
  pid_t pid() const { return pid_; }
  std::string Log() const;

 private:
  pid_t pid_ = -1;
  std::string log_;
};

// The lab's API server, with nothing on it, and kubectl for it.
class ApiServer {
 public:
  static constexpr const char* kPort = "6443";
  ApiServer();

  // Runs `kubectl ARGUMENTS`; ends the test program if it fails.
  void Kubectl(const std::string& arguments) const;
  // Writes what the kubelet mounts for a service account below `directory`.
  void WriteServiceAccount(const std::string& ns, const std::string& name,
                           const std::string& directory) const;
  const std::string& kubeconfig() const { return kubeconfig_; }
  Child& process() { return *process_; }

 private:
  std::string directory_, kubeconfig_;
  std::unique_ptr<Child> process_;
};

// The files of the image that lab.image built, below the returned directory.
std::string UnpackImage();

// GET on the loopback; the body, or "" while nobody answers there. `status` where it is wanted.
std::string HttpGet(uint16_t port, const std::string& path, int* status = nullptr);

}  // namespace sallyport::test

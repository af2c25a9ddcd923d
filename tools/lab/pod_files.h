// SPDX-License-Identifier: Apache-2.0
// What is kept of each pod on this machine: its spec, written by its node before its keeper starts,
// and its status, written by the keeper as things happen.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lab/layout.h"
#include "lab/objects.h"

namespace sallyport::lab {

struct PodSpec {
  Value tree;  // the Pod object with metadata.uid and spec.nodeName
  std::string owner;
  std::string container_id;  // of its sandbox: 64 hex digits
  ObjectSet configs;         // ConfigMaps and Secrets of its namespace
  std::string token;         // of its service account; "" where it has none
};

struct ContainerStatus {
  std::string name;
  std::string state;  // "waiting", "running", "ended"
  pid_t pid = 0;
  bool stand_in = false;
  bool ready = false;
  int exit_code = 0;  // of the last end
  int restarts = 0;
  std::string started;  // when, as FormatTime; "" never, this and the next
  std::string ended;    // the last time
  friend bool operator==(const ContainerStatus&, const ContainerStatus&) = default;
};

struct PodStatus {
  std::string phase = "Pending";  // as in Kubernetes
  bool ready = false;
  bool initialised = false;  // its init containers are through
  std::string reason;        // what is in the way, for a person
  pid_t keeper = 0;
  std::vector<std::string> addresses;
  std::vector<ContainerStatus> containers;
  std::vector<std::string> notes;
  bool IsOver() const { return phase == "Succeeded" || phase == "Failed"; }
  friend bool operator==(const PodStatus&, const PodStatus&) = default;
};

Status SavePodSpec(const Layout& layout, const PodSpec& spec);
Result<PodSpec> LoadPodSpec(const Layout& layout, const model::ObjectName& pod);
Status SavePodStatus(const Layout& layout, const model::ObjectName& pod, const PodStatus& status);
// A pod without a status file has the status of a pod that was just made.
PodStatus LoadPodStatus(const Layout& layout, const model::ObjectName& pod);

// The pods that the lab has files of, sorted.
std::vector<model::ObjectName> ListPods(const Layout& layout);

// The status that the API server is told (status of the Pod object). `pod` is the object as the API
// has it: what stays as it was keeps its times.
Value ClusterStatus(const Value& pod, const PodStatus& status,
                    const std::vector<std::string>& host_ips, WallTime now);

// Random, as the API server and the container runtime make them.
std::string NewUid();
std::string NewContainerId();

}  // namespace sallyport::lab

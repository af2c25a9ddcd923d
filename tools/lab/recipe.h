// SPDX-License-Identifier: Apache-2.0
// How a pod's containers are run as processes on this machine. Entry point: MakeRecipe. Pure, but
// for the question whether a program exists, which the caller answers.
//
//   command given, and on this machine   -> it, with args
//   a well-known image (images.h)        -> the real server
//   anything else                        -> a stand-in: `sallyport probe serve` on the declared
//   ports
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "lab/objects.h"
#include "lab/pod_environment.h"
#include "model/objects.h"

namespace sallyport::lab {

// Where the pod is, for fieldRef and $(VAR).
struct PodFacts {
  std::string node;
  std::string pod_ip;
  std::vector<std::string> pod_ips;
  std::string host_ip;
  std::string token;  // of its service account
};

using Environment = std::vector<std::pair<std::string, std::string>>;

// A check of readiness, as the kubelet makes it from the node.
struct ReadinessCheck {
  enum class Type { kListening, kTcp, kHttp, kExec };
  Type type = Type::kListening;
  uint16_t port = 0;  // kListening: where a known image's server listens; 0 for a stand-in
  std::string host;   // "" the pod's address
  std::string path;   // kHttp
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> command;  // kExec
  int initial_delay = 0;             // seconds, this and the following
  int period = 10;
  int timeout = 1;
  int successes = 1;
  int failures = 3;
};

// What a container sees at `path`: a directory or file of the volume.
struct Mount {
  std::string volume;
  std::string path;
  std::string sub_path;
  bool read_only = false;
};

// A sidecar is an init container that stays (restartPolicy: Always): it is started in its turn, and
// what comes behind it does not wait for its end.
enum class ContainerRole { kContainer, kInit, kSidecar };

struct ContainerRecipe {
  std::string name;
  ContainerRole role = ContainerRole::kContainer;
  std::vector<std::string> argv;
  bool stand_in = false;  // needs neither the pod's files nor a root of its own
  Environment env;
  std::string working_dir;
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  std::vector<Mount> mounts;
  std::vector<model::ContainerPort> ports;
  std::optional<ReadinessCheck> readiness;
};

// A volume is a directory; those of ConfigMaps and Secrets come with files.
struct Volume {
  std::string name;
  std::map<std::string, std::string> files;  // path within the volume to content
  bool read_only = false;
};

struct PodRecipe {
  std::string hostname;
  std::string restart_policy;  // Always, OnFailure, Never
  std::vector<Volume> volumes;
  std::map<std::string, std::string> etc;        // files of /etc that are the pod's own
  std::vector<ContainerRecipe> init_containers;  // and sidecars, in their order
  std::vector<ContainerRecipe> containers;
  std::vector<std::string> notes;  // what is done otherwise than the manifest says
};

struct RecipeContext {
  const ObjectSet* objects = nullptr;  // for ConfigMaps and Secrets
  PodFacts facts;
  ClusterFacts cluster;
  std::string sallyport;                                // the tool's binary
  std::function<bool(const std::string&)> has_program;  // a name on the PATH, or a path
};

// Fails where a ConfigMap, Secret or key that is not optional is missing.
Result<PodRecipe> MakeRecipe(const Value& pod, const RecipeContext& context);

// "$(NAME)" replaced by the variable's value, "$$" by "$"; unknown names stay, as in Kubernetes.
std::string ExpandVariables(const std::string& text, const Environment& env);

}  // namespace sallyport::lab

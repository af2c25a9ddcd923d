// SPDX-License-Identifier: Apache-2.0
// What the agent is told: one set of names, given as flags (--name=value or --name value), in the
// environment (SALLYPORT_NAME, dashes as underscores) or in a YAML file (name: value). Flags go
// before the environment, the environment before the file, the file before the defaults.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "dataplane/dataplane.h"
#include "endpoint/device_filter.h"
#include "observe/web.h"

namespace sallyport::control {

struct Config {
  std::string node;  // never empty
  // Where objects are from: a directory, an API server by its kubeconfig, or (both empty) the API
  // server of the cluster that the agent runs in. Never both.
  std::string manifests;
  std::string kubeconfig;
  std::string cni_results = "/var/lib/cni/results";
  std::string socket = "/run/sallyport/sallyportd.sock";
  std::optional<observe::Listen> metrics{{net::Address::V4(0x7f000001), 9469}};  // none: off
  endpoint::DeviceFilter devices;
  std::string lease_namespace = "sallyport-system";
  uint16_t tunnel_port = 4790;
  uint16_t heartbeat_port = 4791;
  uint32_t tunnel_vni = 0x5a11;
  std::string heartbeat_key;  // a file; "": none
  dataplane::Options dataplane;
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;

  enum class Command { kRun, kDetach, kHelp, kVersion };
  Command command = Command::kRun;
  bool stay = false;                  // kDetach: then wait for SIGTERM
  bool stand_by = false;              // kRun: wait while another agent uses the pins
  std::vector<std::string> warnings;  // names that look like a mistake, but cannot be known to be
};

// The text of the file at `path`.
Result<std::string> ReadFile(const std::string& path);

// What a configuration is read from: passed in, so that tests can.
struct Surroundings {
  std::vector<std::string> arguments;  // without the program's name
  std::map<std::string, std::string> environment;
  std::string hostname;
  bool in_cluster = false;  // a service account is mounted
  std::function<Result<std::string>(const std::string& path)> read_file = ReadFile;
};

// Every error at once, a line each: where the value stands, what is wrong, what would be right.
Result<Config> ReadConfig(const Surroundings& surroundings);

// The text of --help: every option, its meaning, its default.
std::string HelpText();

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// The processes that a lab consists of, beside the keepers of its pods. Each is in the environment
// of the lab's mark (layout.h), logs to logs/<name>.log, and is found again by its number in a
// file.
//
//   apiserver      the API server, in the machine's namespace; it opens sockets in the fabric's too
//   relay          in its place, where the nodes join another API server
//   controllers    controllers.h, on the machine's side of the API server
//   node-<node>    node_process.h, in the node's namespace
//   agent-<node>   sallyportd, in the node's namespace
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/state.h"

namespace sallyport::lab {

inline constexpr const char* kApiServer = "apiserver";
inline constexpr const char* kRelay = "relay";
inline constexpr const char* kControllers = "controllers";
std::string NodeDaemon(const std::string& node);
std::string AgentDaemon(const std::string& node);

// The agent's binary: as given; else $SALLYPORTD; else beside the tool, where a build puts it, or
// on the PATH. Fails with where it looked.
Result<std::string> FindAgent(const std::string& given, const std::string& sallyport);

// All that this lab is to have, in the order in which they are to be started.
std::vector<std::string> DaemonsOf(const LabState& state);
// Already running: Ok. The API server is waited for until it answers.
Status StartDaemonOf(const LabState& state, const std::string& daemon);
// Sends the signal and waits until it has ended. Not running: Ok.
Status EndDaemon(const LabState& state, const std::string& daemon, int signal);
// 0 where it does not run.
pid_t DaemonPid(const Layout& layout, const std::string& daemon);

// Where the nodes, and pods, reach the API server: the fabric's addresses, with the port.
inline constexpr uint16_t kApiPort = 6443;
std::vector<net::Address> ApiAddresses(const LabState& state);
// node.kubeconfig: the access of `kubeconfig`, by way of the fabric.
Status WriteNodeKubeconfig(const LabState& state, const std::string& kubeconfig);
// agent.kubeconfig: the same server, with this token.
Status WriteAgentKubeconfig(const LabState& state, const std::string& token);
// A port of 127.0.0.1 that nobody has just now.
Result<uint16_t> FreePort();

}  // namespace sallyport::lab

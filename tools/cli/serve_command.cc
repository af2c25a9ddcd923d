// SPDX-License-Identifier: Apache-2.0
#include "cli/serve_command.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/unique_fd.h"
#include "cli/serve.h"

namespace sallyport::cli {
namespace {

// Readable once the process is asked to end. Writing to a closed connection is no reason to.
Result<UniqueFd> StopSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  if (sigprocmask(SIG_BLOCK, &stop, nullptr) != 0) return ErrnoError("sigprocmask");
  UniqueFd fd(signalfd(-1, &stop, SFD_CLOEXEC));
  if (!fd) return ErrnoError("signalfd");
  return fd;
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return name.data();
}

std::string Join(const std::vector<probe::Port>& ports) {
  std::string out;
  for (const probe::Port& port : ports) out += (out.empty() ? "" : ", ") + port.ToString();
  return out;
}

}  // namespace

int RunServe(const ServeOptions& options, const Terminal& terminal) {
  auto ports = probe::ParsePorts(options.ports);
  if (!ports) return terminal.Fail("--ports: " + ports.error().message);
  auto stop = StopSignals();
  if (!stop) return terminal.Fail(stop.error().message);
  std::string name = options.name.empty() ? HostName() : options.name;
  auto server = probe::Server::Listen(name, *ports);
  if (!server) return terminal.Fail(server.error().message);
  if (!server->unserved().empty()) {
    terminal.Fail("left out, this kernel has no such sockets: " + Join(server->unserved()));
  }
  // Whoever started this waits for these lines: flushed, one a port, all ports bound by now.
  for (const probe::Port& port : server->served()) {
    terminal.out << "listening on " << port.ToString() << "\n";
  }
  terminal.out << "ready" << std::endl;
  if (Status s = server->Run(stop->get()); !s) return terminal.Fail(s.error().message);
  return kYes;
}

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include "lab/dns_server.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "lab/files.h"
#include "lab/process.h"

namespace sallyport::lab {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(5);
constexpr int kMostLooks = 4000;

// A process of Knot's own size: it serves a handful of pods.
std::string Configuration(const DnsServerOptions& options) {
  std::string listen;
  for (const std::string& address : options.listen)
    listen += (listen.empty() ? "\"" : ", \"") + address + "\"";
  return "server:\n  rundir: \"" + options.directory + "\"\n  listen: [ " + listen +
         " ]\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
         "log:\n  - target: stderr\n    any: warning\n"
         "database:\n  storage: \"" +
         options.directory + "\"\nzone:\n  - domain: .\n    file: \"" + options.directory +
         "/zone\"\n    zonefile-load: whole\n    zonefile-sync: -1\n    journal-content: none\n";
}

// The last lines of a text, as one.
std::string Tail(std::string text, int lines) {
  while (text.ends_with('\n')) text.pop_back();
  size_t start = text.size();
  while (start != std::string::npos && lines-- > 0) start = text.rfind('\n', start - 1);
  text = start == std::string::npos ? text : text.substr(start + 1);
  std::replace(text.begin(), text.end(), '\n', ';');
  return text;
}

}  // namespace

DnsServer::DnsServer(DnsServerOptions options) : options_(std::move(options)) {}

DnsServer::~DnsServer() {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status DnsServer::Check() {
  if (pid_ < 0 || waitpid(pid_, nullptr, WNOHANG) == 0) return Ok();
  pid_ = -1;
  return Error{
      "the DNS server ended: " + Tail(ReadFile(options_.directory + "/log").value_or(""), 3), 0};
}

Status DnsServer::Serve(const DnsRecords& records) {
  bool started = pid_ >= 0;
  if (Status running = Check(); !running) return running;
  if (started && records == records_) return Ok();
  if (Status made = MakeDirectories(options_.directory, 0755); !made) return made;
  if (Status written =
          ReplaceFile(options_.directory + "/zone", ZoneText(records, options_.domain, ++serial_),
                      options_.directory);
      !written)
    return written;
  if (!started)
    if (Status up = Start(); !up) return up;
  if (Status loaded = Control("zone-reload"); !loaded) return loaded;
  records_ = records;
  return Ok();
}

Status DnsServer::Start() {
  std::string knotd = FindProgram("knotd", kStandardPath);
  std::string setpriv = FindProgram("setpriv", kStandardPath);
  if (knotd.empty() || FindProgram("knotc", kStandardPath).empty())
    return Error{"cluster DNS needs knotd: apt-get install knot", 0};
  if (setpriv.empty()) return Error{"cluster DNS needs setpriv: apt-get install util-linux", 0};
  std::string configuration = options_.directory + "/knot.conf";
  if (Status written = WriteFile(configuration, Configuration(options_), 0644); !written)
    return written;
  Command command;
  // The server must not outlive whoever feeds it, however that one ends.
  command.argv = {setpriv, "--pdeathsig", "TERM", "--", knotd, "-c", configuration};
  command.env = EnvironmentWith({});
  command.log = options_.directory + "/log";
  auto pid = StartDaemon(command);
  if (!pid) return std::move(pid).error();
  pid_ = *pid;
  for (int look = 0; look < kMostLooks; ++look) {
    if (Control("status")) return Ok();
    if (waitpid(pid_, nullptr, WNOHANG) != 0) {
      pid_ = -1;
      break;
    }
    std::this_thread::sleep_for(kLookEvery);
  }
  return Error{"the DNS server did not start: " + Tail(ReadFile(command.log).value_or(""), 3), 0};
}

Status DnsServer::Control(const std::string& action) const {
  Command command;
  command.argv = {FindProgram("knotc", kStandardPath), "-s", options_.directory + "/knot.sock",
                  "-b", action};
  if (action == "zone-reload") command.argv.emplace_back(".");
  command.env = EnvironmentWith({});
  auto finished = RunCommand(command);
  if (!finished) return std::move(finished).error();
  if (finished->exit_code == 0) return Ok();
  return Error{"knotc " + action + ": " + Tail(finished->errors + finished->output, 1), 0};
}

}  // namespace sallyport::lab

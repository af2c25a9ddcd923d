// SPDX-License-Identifier: Apache-2.0
// Real connections from inside network namespaces: does this path carry packets? Entry: Probe.
//
// A socket belongs to the network namespace in which it was made. So one thread enters each
// source's namespace in turn, opens that source's sockets there, and waits for all of them at once:
// the time of a run is that of its slowest probe, not the sum. The thread is its own, the caller's
// namespace is never touched.
//
//   TCP, SCTP   connected: open. Reset: refused. Silence until the timeout: blocked.
//   UDP         a datagram is answered (by `sallyport probe serve`, say): open. ICMP port
//               unreachable: refused. Silence: blocked. The datagram is repeated meanwhile.
//   ICMP        an echo request is answered: open. Silence: blocked.
//
// Anything else (no route, address unreachable, no such socket type) is an error, with its text.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/ports.h"
#include "net/address.h"

namespace sallyport::probe {

enum class Outcome { kOpen, kBlocked, kRefused, kError };
std::string ToString(Outcome outcome);  // "open", "blocked", "refused", "error"

struct Target {
  net::Address address;
  Port port;
  std::optional<net::Address> source = {};  // to connect from; absent: the kernel's choice
};

// One network namespace, and what to try from there.
struct Source {
  std::string netns;  // path, e.g. /run/netns/x or /proc/1/ns/net; empty: the caller's
  std::vector<Target> targets;
};

struct Answer {
  Outcome outcome = Outcome::kError;
  Duration latency{};  // from the first packet to the answer; zero when there was none
  std::string detail;  // kError: what went wrong; else what the far end said first, if it did
};

struct Options {
  // How long silence lasts until it counts as blocked. The kernel repeats an unanswered SYN after
  // one second: below that, one lost packet is taken for a policy.
  Duration timeout = std::chrono::seconds(2);
  // After a TCP connection: how long to wait for the far end's first line (probe serve says who it
  // is). Zero: not at all.
  Duration greeting{};
  size_t sockets_at_once = 2048;  // less where RLIMIT_NOFILE is lower
  // Called with the number of answers so far and their total, on the probing thread.
  std::function<void(size_t done, size_t total)> progress;
};

// Answers in the order of sources and targets. A source whose namespace cannot be entered has an
// error for each of its targets. Fails only where nothing could be tried at all.
Result<std::vector<std::vector<Answer>>> Probe(const std::vector<Source>& sources,
                                               const Options& options);

}  // namespace sallyport::probe

// SPDX-License-Identifier: Apache-2.0
// `sallyport probe run` and `sallyport probe matrix`, on a running lab.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/probe.h"
#include "cli/terminal.h"
#include "cli/world.h"

namespace sallyport::cli {

struct ProbeOptions {
  std::string lab;  // empty: the only one
  Family family = Family::kBoth;
  double timeout_seconds = 2;
};

// The error is one of usage.
Result<probe::Options> ToProbeOptions(const ProbeOptions& options);

struct ProbeRunOptions : ProbeOptions {
  std::string from;
  std::string to;
};

// kYes: it answered. kNo: blocked or refused. kCouldNotTell: an error.
int RunProbe(const ProbeRunOptions& options, const Terminal& terminal);

struct ProbeMatrixOptions : ProbeOptions {
  std::string ports;
  bool outside = false;
  std::string expect;
  bool compare = false;
};

// kNo when something is not as expected (--expect) or not as the manifests say (--compare).
int RunProbeMatrix(const ProbeMatrixOptions& options, const Terminal& terminal);

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
// `sallyport probe egress`: which source address does the outside see?
#pragma once

#include <string>
#include <vector>

#include "cli/probe_command.h"
#include "cli/row.h"
#include "cli/terminal.h"

namespace sallyport::cli {

struct ProbeEgressOptions : ProbeOptions {
  std::string from;    // a pod
  std::string to;      // where a `probe serve` answers
  std::string expect;  // the address that should be seen; "": any
  std::string socket;  // of this node's agent, which knows the pod; "": in a lab, if one is up
};

// kYes: the far end said whom it sees, and it is as expected. kNo: it is not, or nothing came
// through. kCouldNotTell: an error, or a far end that does not say whom it sees.
int RunProbeEgress(const ProbeEgressOptions& options, const Terminal& terminal);

// What probes have met, for people or as JSON, and the exit code.
int PrintEgress(const std::vector<Row>& rows, const std::optional<net::Address>& expected,
                const Terminal& terminal);

}  // namespace sallyport::cli

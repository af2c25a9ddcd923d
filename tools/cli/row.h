// SPDX-License-Identifier: Apache-2.0
// One answer: may this source reach this destination on this port, why, and what a real connection
// met. Explaining, probing, comparing and printing all work on rows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/probe.h"
#include "cli/world.h"
#include "egress/pin_plan.h"
#include "policy/evaluate.h"

namespace sallyport::cli {

// What an expect file says about a row.
struct Expected {
  bool allowed = false;
  std::string why;  // "denied by expect.yaml:7", "not listed in expect.yaml"
};

struct Row {
  Side from;
  Side to;
  net::Address source;  // of one family
  net::Address destination;
  Port port;
  policy::FlowVerdict verdict;
  std::optional<probe::Answer> seen;  // where it really connected
  std::optional<Expected> expected;
  std::string agent;    // what the node's agent said of a blocked connection: a JSON object, or ""
  std::string service;  // the Service that was asked about, `to` being behind it; "" if none was
  std::optional<egress::PinAnswer> pin;  // nothing: it is not pinned

  // "x/a -> y/b:80/TCP (10.0.0.2)"
  std::string Title() const;
  // By the manifests: policy allows it, and no pin drops it.
  bool Allowed() const;
  // What the row shows: the connection's outcome where there is one, else the verdict.
  bool Passed() const;
  // The connection neither passed nor was blocked.
  bool CouldNotTell() const;
};

// The verdict on each family that both sides have; the error names what they lack in common.
// Requires a port number for protocols with ports.
Result<std::vector<Row>> Ask(const World& world, const Side& from, const Side& to, const Port& port,
                             Family family = Family::kBoth);

// What the question is about, in words, for each row:
//   "x/a -> y/b:80/TCP (10.0.0.2): denied
//      behind Service y/front:8080/TCP            (if one was asked about)
//      egress of x/a: allowed: ...
//      ingress of y/b: denied: ..."
//      outside: leaves as ...                     (if it is pinned)
std::string InWords(const Row& row);

// The rows as a JSON array, one row a line. README.md describes the fields.
std::string ToJson(const std::vector<Row>& rows);

}  // namespace sallyport::cli

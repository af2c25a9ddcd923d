// SPDX-License-Identifier: Apache-2.0
// Everybody to everybody: the rows, their table, and how they differ from what is expected. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/expect.h"
#include "cli/row.h"
#include "cli/terminal.h"

namespace sallyport::cli {

struct MatrixQuestion {
  struct Target {
    Side side;
    std::vector<Port> ports;
  };
  std::vector<Side> from;
  std::vector<Target> to;
  Family family = Family::kBoth;
};

// By source, destination, port, address. Left out: two addresses outside, and two sides without an
// address family in common.
std::vector<Row> AskAll(const World& world, const MatrixQuestion& question);

// The ports that any of them declares, each once, sorted.
std::vector<Port> AllDeclaredPorts(const std::vector<Side>& sides);

// A row that is not as it should be.
struct Difference {
  const Row* row;
  std::string expected;  // "allowed by expect.yaml:3 (...)"
};
// Rows that carry an expectation and do not meet it; those that could not tell included.
std::vector<Difference> Unexpected(const std::vector<Row>& rows);
// Rows whose connection does not bear out the verdict.
std::vector<Difference> Contradictions(const std::vector<Row>& rows);

// The table with its legend; rows that differ are marked with `*`.
std::string RenderRows(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                       const Terminal& terminal);
// Each difference: the row, what was expected, what was seen, and why.
std::string RenderDifferences(const std::vector<Difference>& differences, size_t rows,
                              const Terminal& terminal);

// "open in 0.4 ms", "blocked"; for a row without a connection "allowed", "denied".
std::string SeenInWords(const Row& row);

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
// What the matrix commands (explain --matrix, probe matrix) have in common: options to question,
// rows to output.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/matrix.h"

namespace sallyport::cli {

struct MatrixOptions {
  std::string ports;                 // "80/TCP,81/UDP"; empty: declared ports
  std::vector<std::string> outside;  // addresses
  std::string expect;                // file; empty: none
  Family family = Family::kBoth;
};

struct MatrixPlan {
  MatrixQuestion question;
  std::optional<Expectations> expectations;
};

// All live pods of the world to all of them, and the addresses outside both ways. With
// `add_expected`, also the addresses that the expect file names, on the side where it names them.
Result<MatrixPlan> PlanMatrix(const World& world, const MatrixOptions& options, bool add_expected);

// Fills in each row's expectation, where there is one.
void Expect(const MatrixPlan& plan, std::vector<Row>& rows);

// Prints table, differences and a summary, or the rows as JSON. kNo when something differs.
int PrintMatrix(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                bool compared, Format format, const Terminal& terminal);

}  // namespace sallyport::cli

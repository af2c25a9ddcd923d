// SPDX-License-Identifier: Apache-2.0
// What the matrix commands (explain --matrix, probe matrix) have in common: options to question,
// rows to output.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/matrix.h"

namespace sallyport::cli {

// Where there is a lab: which addresses that are no pod's it can try.
struct Reach {
  std::vector<net::Address> outside;
  std::vector<net::Address> nodes;
};

struct MatrixOptions {
  std::string ports;                 // "80/TCP,81/UDP"; empty: declared ports
  std::vector<std::string> outside;  // addresses
  std::string expect;                // file; empty: none
  Family family = Family::kBoth;
  std::optional<Reach> reach = std::nullopt;  // none: any address can be asked about
};

struct MatrixPlan {
  MatrixQuestion question;
  std::optional<Expectations> expectations;
};

// All live pods of the world to all of them, the addresses outside both ways, and the addresses
// that the expect file names, on the side where it names them. In a lab a file that speaks of its
// outside adds all of that, both ways. An expectation that no row would meet is an error.
Result<MatrixPlan> PlanMatrix(const World& world, const MatrixOptions& options);

// Fills in each row's expectation, where there is one.
void Expect(const MatrixPlan& plan, std::vector<Row>& rows);

// Prints table, differences and a summary, or the rows as JSON. kNo when something differs.
int PrintMatrix(const std::vector<Row>& rows, const std::vector<Difference>& differences,
                bool compared, const Terminal& terminal);

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
// Text tables that line up, for people. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace sallyport::cli {

// Rows under headings, each column as wide as its widest cell. Columns of numbers are aligned to
// the right. An empty cell shows "-".
std::string RenderList(const std::vector<std::string>& headings,
                       const std::vector<std::vector<std::string>>& rows, const Terminal& terminal);

// Who (lines) to whom on which port (columns), one symbol a cell. Both sides are grouped: by
// namespace, say. Columns that do not fit the terminal's width go into further blocks, cut between
// groups where possible, else between destinations.
struct Matrix {
  struct Line {
    std::string group, name;
  };
  struct Column {
    std::string group, name, port;
  };
  struct Cell {
    std::string text = "·";  // nothing was asked
    Colour colour = Colour::kDim;
  };
  std::vector<Line> lines;               // sorted by group
  std::vector<Column> columns;           // sorted by group, name
  std::vector<std::vector<Cell>> cells;  // [line][column]
};

std::string RenderMatrix(const Matrix& matrix, const Terminal& terminal);

}  // namespace sallyport::cli

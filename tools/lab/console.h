// SPDX-License-Identifier: Apache-2.0
// What the lab's commands say, and where: results on one stream, what goes on on the other.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::lab {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool progress = false;  // err is a terminal

  // "sallyport: message" on err.
  void Fail(std::string_view message) const;
  void Note(std::string_view message) const;
  // One line on err that the next one replaces; nothing where err is no terminal. An empty line
  // clears it.
  void Progress(std::string_view line) const;
};

// Standard output and error of this process.
Console ProcessConsole();

// Rows of cells in columns as wide as their widest cell; the first row is the heading.
std::string AlignedTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace sallyport::lab

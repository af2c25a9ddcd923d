// SPDX-License-Identifier: Apache-2.0
#include "lab/console.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace sallyport::lab {

void Console::Fail(std::string_view message) const {
  Progress("");
  err << "sallyport: " << message << std::endl;
}

void Console::Note(std::string_view message) const {
  Progress("");
  err << message << std::endl;
}

void Console::Progress(std::string_view line) const {
  if (progress) err << "\r\x1b[K" << line << std::flush;
}

Console ProcessConsole() { return {std::cout, std::cerr, isatty(STDERR_FILENO) == 1}; }

std::string AlignedTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace sallyport::lab

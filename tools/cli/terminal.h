// SPDX-License-Identifier: Apache-2.0
// Where a command writes, and how it ends.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

namespace sallyport::cli {

// Exit codes of every command.
inline constexpr int kYes = 0;           // done; or the answer is "yes"
inline constexpr int kNo = 1;            // the answer is "no"
inline constexpr int kCouldNotTell = 2;  // wrong usage, something missing, something failed

enum class Format { kTable, kJson };

enum class Colour { kNone, kRed, kGreen, kYellow, kBold, kDim, kAlert };

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool colour = false;             // out is a terminal, and NO_COLOR is not set
  bool progress = false;           // err is a terminal
  size_t width = 100;              // columns of out
  Format format = Format::kTable;  // of answers

  // `text` in a colour where the terminal has them.
  std::string Paint(Colour colour, std::string_view text) const;
  // "sallyport: message" on err.
  void Complain(std::string_view message) const;
  // {"error": message} on out where answers are JSON: whoever reads them gets one.
  void AnswerError(std::string_view message) const;
  // Both; kCouldNotTell.
  int Fail(std::string_view message) const;
  // One line on err that the next one replaces; nothing where err is no terminal. An empty line
  // clears it.
  void Progress(std::string_view line) const;
};

// Standard output and error of this process.
Terminal ProcessTerminal();

// How many columns a UTF-8 text takes, each character counted as one.
size_t Columns(std::string_view utf8);
// `text` with spaces behind it up to `columns`.
std::string Padded(std::string_view text, size_t columns);

}  // namespace sallyport::cli

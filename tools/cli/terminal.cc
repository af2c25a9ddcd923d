// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "cli/json.h"

namespace sallyport::cli {
namespace {

constexpr size_t kNarrowest = 40;

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kRed:
      return "\033[31m";
    case Colour::kGreen:
      return "\033[32m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kBold:
      return "\033[1m";
    case Colour::kDim:
      return "\033[2m";
    case Colour::kAlert:
      return "\033[1;37;41m";
  }
  return "";
}

}  // namespace

std::string Terminal::Paint(Colour what, std::string_view text) const {
  if (!colour || what == Colour::kNone || text.empty()) return std::string(text);
  return Code(what) + std::string(text) + "\033[0m";
}

void Terminal::Complain(std::string_view message) const { err << "sallyport: " << message << "\n"; }

void Terminal::AnswerError(std::string_view message) const {
  if (format != Format::kJson) return;
  out << JsonObject().Add("error", message).ToString() << std::endl;
}

int Terminal::Fail(std::string_view message) const {
  Complain(message);
  AnswerError(message);
  return kCouldNotTell;
}

void Terminal::Progress(std::string_view line) const {
  if (progress) err << "\r\033[K" << line << std::flush;
}

Terminal ProcessTerminal() {
  Terminal terminal{std::cout, std::cerr};
  const char* no_colour = std::getenv("NO_COLOR");
  bool is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.colour = is_terminal && (no_colour == nullptr || *no_colour == '\0');
  terminal.progress = isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.width = std::max<size_t>(kNarrowest, size.ws_col);
  }
  return terminal;
}

size_t Columns(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // not a continuation byte
  }));
}

std::string Padded(std::string_view text, size_t columns) {
  std::string out(text);
  size_t used = Columns(text);
  if (used < columns) out.append(columns - used, ' ');
  return out;
}

}  // namespace sallyport::cli

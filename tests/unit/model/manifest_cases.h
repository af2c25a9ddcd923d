// SPDX-License-Identifier: Apache-2.0
// Validation rules as tables: what is written, and what must be said about it.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "model/manifest.h"

namespace sallyport::model {

struct Case {
  const char* name;
  std::string text;                // of the part that a test puts into its frame
  std::vector<std::string> wants;  // "severity: field: part of the message"; none: valid, silent
};

inline void PrintTo(const Case& c, std::ostream* out) { *out << c.text; }

inline std::string CaseName(const auto& info) { return info.param.name; }

// Every diagnostic is wanted, every wanted one is there, in order. Returns what differs.
inline std::string Compare(const Manifest& manifest, const std::vector<std::string>& wants) {
  std::string differs;
  size_t matched = 0;
  for (const Diagnostic& d : manifest.diagnostics) {
    std::string is = (d.severity == Severity::kError ? "error: " : "warning: ") + d.field + ": ";
    bool wanted = false;
    if (matched < wants.size()) {
      const std::string& want = wants[matched];
      wanted = want.substr(0, is.size()) == is &&
               d.message.find(want.substr(is.size())) != std::string::npos;
    }
    if (wanted) {
      ++matched;
    } else {
      differs += "unwanted: " + is + d.message + "\n";
    }
  }
  for (; matched < wants.size(); ++matched) differs += "missing: " + wants[matched] + "\n";
  if (manifest.unreadable && wants.empty()) differs += "unreadable\n";
  return differs;
}

inline bool WantsError(const std::vector<std::string>& wants) {
  for (const std::string& want : wants) {
    if (want.substr(0, 5) == "error") return true;
  }
  return false;
}

// Each line of `text` moved right.
inline std::string Indented(const std::string& text, int by) {
  std::string out;
  bool at_start = true;
  for (char c : text) {
    if (at_start && c != '\n') out.append(static_cast<size_t>(by), ' ');
    at_start = c == '\n';
    out += c;
  }
  return out + "\n";
}

}  // namespace sallyport::model

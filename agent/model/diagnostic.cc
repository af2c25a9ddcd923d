// SPDX-License-Identifier: Apache-2.0
#include "model/diagnostic.h"

#include <algorithm>

namespace sallyport::model {

std::string Diagnostic::ToString() const {
  std::string out = place.ToString();
  auto add = [&](const std::string& part) {
    if (part.empty()) return;
    if (!out.empty()) out += ": ";
    out += part;
  };
  add(severity == Severity::kError ? "error" : "warning");
  add(object);
  add(field);
  add(message);
  return out;
}

bool HasErrors(const Diagnostics& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::kError; });
}

}  // namespace sallyport::model

// SPDX-License-Identifier: Apache-2.0
// What is wrong with a user's object, and where.
#pragma once

#include <string>
#include <vector>

#include "model/objects.h"

namespace sallyport::model {

enum class Severity { kWarning, kError };

struct Diagnostic {
  Severity severity = Severity::kError;
  Place place;
  std::string object;   // "NetworkPolicy shop/web", "" if not known
  std::string field;    // "spec.ingress[0].ports[1].port", "" for the whole object
  std::string message;  // what is wrong, and what would be right

  // "policies/web.yaml:12: error: NetworkPolicy shop/web: spec.ingress[0]...: message"
  std::string ToString() const;
};

using Diagnostics = std::vector<Diagnostic>;
bool HasErrors(const Diagnostics& diagnostics);

}  // namespace sallyport::model

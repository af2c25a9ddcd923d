// SPDX-License-Identifier: Apache-2.0
// The type of a plain (unquoted) YAML scalar, as sigs.k8s.io/yaml gives it to the API server.
#pragma once

#include <string>

#include "model/document.h"

namespace sallyport::model {

// YAML 1.1: y/yes/on and n/no/off are booleans; "", ~ and null are null; integers may have a sign,
// underscores, and the prefixes 0x, 0o, 0b and 0 (octal). A float without a fraction is an integer,
// as it is after conversion to JSON. Dates and 1:30 are strings.
Value ResolveScalar(std::string text, int line);

}  // namespace sallyport::model

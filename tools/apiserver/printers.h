// SPDX-License-Identifier: Apache-2.0
// The columns that `kubectl get` shows of built-in kinds. Pure.
// Source: Kubernetes, pkg/printers/internalversion.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/forms.h"

namespace sallyport::apiserver {

// What comes after the name.
struct Printer {
  std::vector<Column> columns;
  std::function<std::vector<std::string>(const Value& object, WallTime now)> cells;
};

// Of a kind without one of its own: the age.
const Printer& PrinterOf(std::string_view store_key);

}  // namespace sallyport::apiserver

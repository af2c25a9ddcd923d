// SPDX-License-Identifier: Apache-2.0
// The agent's options, one row each: the one place that names them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "control/config.h"

namespace sallyport::control {

struct Option {
  std::string name;      // "cni-results"
  std::string argument;  // "DIR"; "" for a switch, which may stand without a value
  std::string fallback;  // the default, as a person would write it; "" none
  std::string help;
  // Takes a value over. The error says what is wrong and what would be right.
  std::function<Status(Config&, const std::string&)> set;
  bool flag_only = false;  // makes no sense in the environment or in a file
};

const std::vector<Option>& Options();
// nullptr where there is none of that name.
const Option* FindOption(std::string_view name);
// The name most like this one, if any is.
const Option* NearestOption(std::string_view name);

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// Which interface names may be pods': the value of --devices.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::endpoint {

// Comma-separated globs (* and ?); "!glob" excludes. A name matches when some glob matches it and
// no excluding one does; with excluding globs only, every other name matches.
class DeviceFilter {
 public:
  DeviceFilter() = default;  // "*"
  static Result<DeviceFilter> Parse(std::string_view text);

  bool Matches(std::string_view name) const;

 private:
  std::vector<std::string> include_{"*"};
  std::vector<std::string> exclude_;
};

}  // namespace sallyport::endpoint

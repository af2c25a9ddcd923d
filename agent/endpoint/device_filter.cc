// SPDX-License-Identifier: Apache-2.0
#include "endpoint/device_filter.h"

#include <algorithm>

namespace sallyport::endpoint {
namespace {

constexpr size_t kLongestName = 15;  // IFNAMSIZ less the terminating zero

// Greedy with one point of return: linear in practice, quadratic at worst in 15 characters.
bool Glob(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string_view Trim(std::string_view text) {
  size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Status CheckGlob(std::string_view glob) {
  if (glob.empty()) return Error{"an empty glob; write e.g. 'veth*,!veth-lan*'"};
  if (glob.find_first_of("/ \t[]{}!") != std::string_view::npos) {
    return Error{"'" + std::string(glob) +
                 "' is no interface name; globs know * and ?, and a leading ! to exclude"};
  }
  auto letters = std::count_if(glob.begin(), glob.end(), [](char c) { return c != '*'; });
  if (static_cast<size_t>(letters) > kLongestName) {
    return Error{"'" + std::string(glob) +
                 "' matches nothing: interface names have at most 15 "
                 "characters"};
  }
  return Ok();
}

}  // namespace

Result<DeviceFilter> DeviceFilter::Parse(std::string_view text) {
  DeviceFilter filter;
  filter.include_.clear();
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(',', begin), text.size());
    std::string_view glob = Trim(text.substr(begin, end - begin));
    bool exclude = !glob.empty() && glob.front() == '!';
    if (exclude) glob.remove_prefix(1);
    if (Status status = CheckGlob(glob); !status) return std::move(status).error();
    (exclude ? filter.exclude_ : filter.include_).emplace_back(glob);
    begin = end + 1;
  }
  if (filter.include_.empty()) filter.include_.emplace_back("*");
  return filter;
}

bool DeviceFilter::Matches(std::string_view name) const {
  auto matches = [name](const std::string& glob) { return Glob(glob, name); };
  return std::any_of(include_.begin(), include_.end(), matches) &&
         std::none_of(exclude_.begin(), exclude_.end(), matches);
}

}  // namespace sallyport::endpoint

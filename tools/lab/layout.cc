// SPDX-License-Identifier: Apache-2.0
#include "lab/layout.h"

#include <algorithm>
#include <functional>

namespace sallyport::lab {
namespace {

constexpr size_t kLongestLabName = 32;
constexpr size_t kLongestFileName = 255;
constexpr std::string_view kNetnsPrefix = "spt-";

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

}  // namespace

Status CheckLabName(const std::string& name) {
  bool good = !name.empty() && name.size() <= kLongestLabName && name.front() != '-' &&
              std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (good) return Ok();
  return Error{"\"" + name +
                   "\" is no name for a lab: use small letters, digits and '-', at most " +
                   std::to_string(kLongestLabName),
               0};
}

std::string Layout::pod_netns(const model::ObjectName& name) const {
  std::string full = netns_prefix() + "pod." + Dotted(name);
  if (full.size() <= kLongestFileName) return full;
  std::string hash = std::to_string(std::hash<std::string>{}(full));
  return full.substr(0, kLongestFileName - hash.size() - 1) + "." + hash;
}

std::string LabOfNetns(std::string_view netns_name) {
  if (!netns_name.starts_with(kNetnsPrefix)) return "";
  netns_name.remove_prefix(kNetnsPrefix.size());
  size_t dot = netns_name.find('.');
  if (dot == std::string_view::npos) return "";
  std::string lab(netns_name.substr(0, dot));
  return CheckLabName(lab) ? lab : "";
}

}  // namespace sallyport::lab

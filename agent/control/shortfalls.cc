// SPDX-License-Identifier: Apache-2.0
#include "control/shortfalls.h"

#include <utility>

#include "base/log.h"

namespace sallyport::control {
namespace {

std::string TextOf(const dataplane::Shortfall& shortfall) {
  const dataplane::TableUse& use = shortfall.use;
  std::string out = "table \"" + use.name + "\" is full (" + std::to_string(use.used) + " of " +
                    std::to_string(use.capacity) + " used): " + std::to_string(shortfall.left_out) +
                    " entries found no place, and what they would allow is denied";
  if (shortfall.denies_all)
    out += "; nodes or Services are among them, so all pods here are cut off";
  if (!shortfall.closed.empty())
    out += "; " + std::to_string(shortfall.closed.size()) + " pods are closed for it, " +
           shortfall.closed.begin()->ToString() + " among them";
  return out +
         "; it needs a larger capacity, which only tables made after sallyportd --detach have";
}

}  // namespace

void Shortfalls::Take(std::vector<dataplane::Shortfall> shortfalls) {
  std::set<std::string> before;
  for (const dataplane::Shortfall& shortfall : shortfalls_) before.insert(shortfall.use.name);
  shortfalls_ = std::move(shortfalls);
  for (const dataplane::Shortfall& shortfall : shortfalls_) {
    if (!before.contains(shortfall.use.name))
      LogError(TextOf(shortfall) + "; it is tried again until there is room");
  }
}

std::set<model::ObjectName> Shortfalls::Closed() const {
  std::set<model::ObjectName> out;
  for (const dataplane::Shortfall& shortfall : shortfalls_)
    out.insert(shortfall.closed.begin(), shortfall.closed.end());
  return out;
}

std::map<std::string, std::string> Shortfalls::Reasons() const {
  std::map<std::string, std::string> out;
  for (const dataplane::Shortfall& shortfall : shortfalls_)
    out["table " + shortfall.use.name] = TextOf(shortfall);
  return out;
}

std::string Shortfalls::NoRoomFor(const model::ObjectName& pod) const {
  for (const dataplane::Shortfall& shortfall : shortfalls_) {
    if (shortfall.closed.contains(pod)) return shortfall.use.name;
  }
  return "";
}

std::string Shortfalls::Names() const {
  std::string out;
  for (const dataplane::Shortfall& shortfall : shortfalls_) {
    out += (out.empty() ? "" : ", ") + shortfall.use.name;
  }
  return out;
}

}  // namespace sallyport::control

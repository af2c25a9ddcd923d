// SPDX-License-Identifier: Apache-2.0
// What full tables have no room for, in words: it is not in force although all else is.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/dataplane.h"
#include "model/objects.h"

namespace sallyport::control {

class Shortfalls {
 public:
  // Those of the last Apply() that succeeded. Logged when a table becomes full.
  void Take(std::vector<dataplane::Shortfall> shortfalls);
  bool empty() const { return shortfalls_.empty(); }
  // Pods that are closed for them.
  std::set<model::ObjectName> Closed() const;
  // By table: what there is to say of it.
  std::map<std::string, std::string> Reasons() const;
  // The table that has no room for this pod; "": there is none.
  std::string NoRoomFor(const model::ObjectName& pod) const;
  // Of the full tables; "": there are none.
  std::string Names() const;

 private:
  std::vector<dataplane::Shortfall> shortfalls_;
};

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// What the watchers tell the reconciler.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "control/doorkeeper.h"
#include "endpoint/cni_watch.h"
#include "endpoint/link.h"
#include "model/diagnostic.h"
#include "model/snapshot.h"

namespace sallyport::control {

struct ObjectsChanged {
  std::vector<model::Delta> deltas;
  model::Diagnostics standing;  // what is wrong with all that is there now
  bool complete = false;        // everything has been read once
};

// Drop events wait in the mailbox.
struct EventsWait {};

// Runs on the reconciler's thread, after everything that was told before it is in force.
using Question = std::function<void()>;

using Input = std::variant<LinksChanged, endpoint::CniUpdate, ObjectsChanged, EventsWait, Question>;

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// What the agent tells about itself, from what the reconciler knows and the kernel counts. On the
// reconciler's thread.
#pragma once

#include <string>
#include <vector>

#include "control/reconciler.h"
#include "dataplane/dataplane.h"
#include "observe/measures.h"
#include "observe/views.h"

namespace sallyport::control {

observe::StatusView StatusOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                             const std::string& node, std::vector<observe::WatchView> watches,
                             WallTime now);
std::vector<observe::EndpointView> EndpointsOf(const Reconciler& reconciler,
                                               dataplane::Dataplane& dataplane);
std::vector<observe::PolicyView> PoliciesOf(const Reconciler& reconciler);
std::vector<observe::FlowView> FlowsOf(const Reconciler& reconciler,
                                       dataplane::Dataplane& dataplane, size_t limit,
                                       const std::string& endpoint);

// What changes the readiness of the agent (/readyz) is judged as in StatusOf. `traffic` is brought
// up to now; events are left to the caller.
observe::MetricsView MetricsOf(const Reconciler& reconciler, dataplane::Dataplane& dataplane,
                               std::vector<observe::WatchView> watches, WallTime now,
                               observe::Traffic& traffic);
// By the engine that compiles what is enforced, from the objects as they are known now.
Result<std::vector<observe::ExplainView>> ExplainOf(const Reconciler& reconciler,
                                                    const observe::ExplainQuestion& question);

}  // namespace sallyport::control

// SPDX-License-Identifier: Apache-2.0
// One node of the lab as the cluster sees it: kubelet and Service proxy in one process, in the
// node's network namespace. Entry point: RunNode.
//
//   API server ─ pods bound here, configs ─► spec files ─► keepers (keeper.h)
//        ▲                                                   │ status files, bell
//        └────────────── status of pods and node ◄───────────┘
//   API server ─ Services, EndpointSlices ─► proxy.h ─► the node's packet filter
//
// Pods outlive this process: a new one takes up what it finds running. Pods that the API server
// does not know, or knows as another (by uid), are ended; but nothing is before all is listed.
#pragma once

#include <string>

#include "base/result.h"

namespace sallyport::lab {

// Until SIGTERM or SIGINT; pods go on.
Status RunNode(const std::string& lab, const std::string& node);

// The controllers' process: Reconcile over what the API server has, until a signal.
Status RunControllers(const std::string& lab);

}  // namespace sallyport::lab

// SPDX-License-Identifier: Apache-2.0
// The parts of validation: what several kinds have in common, and the kinds one by one. Each adds
// what it finds, under the path that it was given. Pure.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/status.h"
#include "apiserver/tree.h"

namespace sallyport::apiserver {

using Causes = std::vector<Cause>;

std::string Index(const std::string& path, size_t i);
void CheckLabels(const Value* labels, const std::string& path, Causes* out);
// meta/v1 LabelSelector.
void CheckSelector(const Value* selector, const std::string& path, Causes* out);
void CheckPort(const Value* port, const std::string& path, Causes* out);
// A number or a name (IANA_SVC_NAME).
void CheckPortOrName(const Value& port, const std::string& path, Causes* out);
void CheckProtocol(const Value& parent, const std::string& path, Causes* out);
void CheckIp(const std::string& text, const std::string& path, Causes* out);
bool Same(const Value* a, const Value* b);
void CheckImmutable(const Value& object, const Value* old,
                    std::initializer_list<std::string_view> path, const std::string& field,
                    Causes* out);

// Of one kind; `old` is what the object replaces, or null.
using Check = void(const Value& object, const Value* old, Causes* out);
Check CheckPod;
Check CheckWorkload;
Check CheckStatefulSet;
Check CheckReplicationController;
Check CheckJob;
Check CheckCronJob;
Check CheckService;
Check CheckEndpointSlice;
Check CheckNetworkPolicy;
Check CheckLease;
Check CheckEvent;

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
// The parts of a recipe that come out of a container's fields one by one: environment, volumes,
// ports, probes. Pure.
#pragma once

#include "lab/recipe.h"

namespace sallyport::lab {

// Where values that a manifest only refers to come from.
struct ValueSource {
  const Value& pod;
  const ObjectSet* objects;
  const PodFacts& facts;
};

// env and envFrom, in the order of Kubernetes: a later variable may use an earlier one.
Result<Environment> MakeEnvironment(const Value& container, const ValueSource& source);
// emptyDir, configMap, secret, downwardAPI, projected; any other kind is an empty directory.
Result<Volume> MakeVolume(const Value& volume, const ValueSource& source);
std::vector<model::ContainerPort> ContainerPorts(const Value& container);
// tcpSocket, httpGet and exec; nullopt for none, and for what the lab cannot check.
std::optional<ReadinessCheck> ParseReadiness(const Value* probe,
                                             const std::vector<model::ContainerPort>& ports);
// The bytes of a base64 text (RFC 4648, line breaks allowed).
Result<std::string> DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

}  // namespace sallyport::lab

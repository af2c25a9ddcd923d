// SPDX-License-Identifier: Apache-2.0
// An object's JSON text, as an API server sends it, into the model's object. Pure.
//
// First what is not used is left out, without being looked at (most of a pod is managedFields,
// environment and volumes), then the decoders of model/ read the rest. Unknown fields pass, except
// in what a NetworkPolicy or an EgressGateway says: a field that this version does not know may
// narrow what is allowed, or pinned, so an object that has one is not understood.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/diagnostic.h"
#include "model/snapshot.h"

namespace sallyport::watch {

struct DecodedObject {
  model::ObjectName name;             // empty if not even that could be read
  std::optional<model::Delta> delta;  // absent: it is not understood
  model::Diagnostics errors;          // then why not
  model::Diagnostics warnings;        // what it says to Sallyport alone, and has no effect
};

// `object` need not say its apiVersion and kind; empty, it was too large or too deep to be read.
DecodedObject DecodeObject(model::Kind kind, std::string_view object);

// Its metadata's namespace and name; empty where there are none.
model::ObjectName ReadName(std::string_view object);

// What stands in for a policy that is not understood, until it is: it selects the same pods as far
// as that can be read (else all of its namespace), isolates them for the same directions (else
// both), and allows nothing.
model::Delta ClosedPolicy(const model::ObjectName& name, std::string_view object);

// What stands in for an EgressGateway that is not understood, until it is: it selects the same pods
// and the same destinations as far as they can be read (else all), and has no egress IP for them.
model::Delta ClosedGateway(const model::ObjectName& name, std::string_view object);

}  // namespace sallyport::watch

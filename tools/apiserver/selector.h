// SPDX-License-Identifier: Apache-2.0
// The labelSelector and fieldSelector of a request. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/tree.h"
#include "model/labels.h"

namespace sallyport::apiserver {

// "a=b,c!=d,e in (f,g),h notin (i),j,!k". Throws BadRequest.
model::Selector ParseLabelSelector(std::string_view text);

// The fields of an object that may be selected by, with their values: metadata.name,
// metadata.namespace, and those of its kind ("pods": spec.nodeName, status.phase, ...).
using Fields = std::vector<std::pair<std::string_view, std::string>>;
Fields FieldsOf(std::string_view store_key, const Value& object);

struct FieldRequirement {
  std::string field;
  std::string value;
  bool equal = true;
};
// "metadata.name=a,status.phase!=Running". Throws BadRequest for what is no selector, and for a
// field that objects of this kind cannot be selected by.
std::vector<FieldRequirement> ParseFieldSelector(std::string_view text, std::string_view store_key);
bool Match(const std::vector<FieldRequirement>& requirements, const Fields& fields);

}  // namespace sallyport::apiserver

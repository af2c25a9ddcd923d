// SPDX-License-Identifier: Apache-2.0
// Objects as trees (model/document.h), with the lab's helpers under this folder's name.
#pragma once

#include <string>
#include <string_view>

#include "lab/tree.h"
#include "model/document.h"

namespace sallyport::apiserver {

using lab::At;
using lab::Boolean;
using lab::Child;
using lab::Erase;
using lab::Integer;
using lab::IntegerAt;
using lab::IsTrue;
using lab::Items;
using lab::Mapping;
using lab::Members;
using lab::SameContent;
using lab::Sequence;
using lab::Set;
using lab::String;
using lab::Text;
using lab::TextAt;
using lab::Texts;
using lab::ToJson;
using model::Value;

// A mapping's member, to be written to; nullptr where absent or where this is no mapping.
Value* Find(Value& mapping, std::string_view key);
Value* FindAt(Value& value, std::initializer_list<std::string_view> path);
inline bool IsMapping(const Value* value) { return value && value->type == Value::Type::kMapping; }
inline bool IsSequence(const Value* value) {
  return value && value->type == Value::Type::kSequence;
}
inline bool IsNull(const Value* value) { return !value || value->type == Value::Type::kNull; }
// Sets the member if it is absent or null.
void Default(Value& mapping, std::string_view key, Value value);
// Text as JSON string, with its quotes.
std::string Quote(std::string_view text);

// One JSON value of any type. Throws Failure (status.h), code 400, where it is none, where a key
// stands twice, or where it is nested deeper than the parser's bound.
Value ParseJsonText(std::string_view text);

}  // namespace sallyport::apiserver

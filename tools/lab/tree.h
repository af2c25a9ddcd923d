// SPDX-License-Identifier: Apache-2.0
// Building, reading and printing trees of values (model/document.h): the lab takes manifests apart
// and puts objects together as trees, so that every field it does not know survives. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/document.h"
#include "model/objects.h"

namespace sallyport::lab {

using model::Value;

Value String(std::string text);
Value Integer(int64_t number);
Value Boolean(bool value);
Value Sequence(std::vector<Value> items = {});
Value Mapping(std::vector<Value::Member> members = {});
Value Strings(const std::vector<std::string>& texts);

// Sets a mapping's member, replacing one of that name; what is no mapping becomes one.
Value& Set(Value& mapping, std::string_view key, Value value);
void Erase(Value& mapping, std::string_view key);
// The member as a mapping that can be written to; made where absent.
Value& Child(Value& mapping, std::string_view key);

// The value at the end of a path of mapping keys; nullptr where any is absent.
const Value* At(const Value& value, std::initializer_list<std::string_view> path);
// Scalars as text; "" where absent or no scalar.
std::string Text(const Value* value);
std::string TextAt(const Value& value, std::initializer_list<std::string_view> path);
std::optional<int64_t> IntegerAt(const Value& value, std::initializer_list<std::string_view> path);
bool IsTrue(const Value* value);
// The items of a sequence; none where absent or no sequence.
const std::vector<Value>& Items(const Value* value);
const std::vector<Value::Member>& Members(const Value* value);
std::vector<std::string> Texts(const Value* sequence);

// Same content; lines and the order of mapping members do not matter.
bool SameContent(const Value& a, const Value& b);

// JSON on one line. Numbers are written as they were read.
std::string ToJson(const Value& value);

// The single document of a JSON text that the lab wrote itself.
Result<Value> FromJson(std::string_view text, const std::string& file);

// metadata.namespace and metadata.name.
model::ObjectName NameOf(const Value& object);
std::string KindOf(const Value& object);

}  // namespace sallyport::lab

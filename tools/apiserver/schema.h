// SPDX-License-Identifier: Apache-2.0
// The types of the built-in kinds: for strict decoding, strategic merge patches, and the OpenAPI
// documents. Compiled at the first use from the text in schema_text.cc. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/tree.h"

namespace sallyport::apiserver {

extern const char* const kSchemaText;

struct Type;

struct Field {
  enum class Shape { kOne, kList, kMap };
  std::string name;
  Shape shape = Shape::kOne;
  std::string type_name;       // "string", "PodSpec", ...
  const Type* type = nullptr;  // null: a scalar or anything
  bool required = false;
  bool merges = false;  // a list that is merged (by `merge_key`, of scalars: as a set)
  std::string merge_key;
  bool retain_keys = false;
};

struct Type {
  std::string name;
  std::vector<Field> fields;
  const Field* Find(std::string_view field) const;
};

// The type of a built-in kind, or any other of the text; with apiVersion, kind and metadata where
// it is a kind's. nullptr where there is none.
const Type* FindType(std::string_view name);
const std::map<std::string, Type, std::less<>>& AllTypes();

// Makes the tree what the API server's decoder would make of it: members that are null, unknown, or
// empty lists and maps are dropped (but in `any`, and empty ones that are required).
struct Decoded {
  std::vector<std::string> unknown;  // `unknown field "spec.foo"`
  std::string wrong_type;            // "" or why it cannot be decoded
};
Decoded DecodeAs(const Type& type, Value& object);

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
#include "apiserver/schema.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/check.h"

namespace sallyport::apiserver {
namespace {

using Types = std::map<std::string, Type, std::less<>>;

bool IsScalar(std::string_view name) {
  static constexpr std::string_view kScalars[] = {"string", "int",      "bool",   "number",
                                                  "time",   "quantity", "intstr", "any"};
  return std::find(std::begin(kScalars), std::end(kScalars), name) != std::end(kScalars);
}

Field ParseField(const std::string& name, std::string type) {
  Field field;
  field.name = name;
  if (field.name.back() == '*') {
    field.required = true;
    field.name.pop_back();
  }
  if (type.starts_with("[]")) field.shape = Field::Shape::kList;
  if (type.starts_with("{}")) field.shape = Field::Shape::kMap;
  if (field.shape != Field::Shape::kOne) type.erase(0, 2);
  if (type.back() == '!') {
    field.retain_keys = true;
    type.pop_back();
  }
  if (size_t at = type.find('@'); at != type.npos) {
    field.merges = true;
    field.merge_key = type.substr(at + 1);
    type.erase(at);
  }
  field.type_name = type;
  return field;
}

// Kinds are the types that nothing refers to; they have what every object has.
void AddObjectFields(Types* types) {
  std::vector<std::string> used;
  for (const auto& [name, type] : *types)
    for (const Field& field : type.fields) used.push_back(field.type_name);
  for (auto& [name, type] : *types) {
    if (std::find(used.begin(), used.end(), name) != used.end()) continue;
    std::vector<Field> all = {ParseField("apiVersion", "string"), ParseField("kind", "string"),
                              ParseField("metadata", "ObjectMeta")};
    all.insert(all.end(), type.fields.begin(), type.fields.end());
    type.fields = std::move(all);
  }
}

Types Compile() {
  Types types;
  std::istringstream words(kSchemaText);
  Type* current = nullptr;
  for (std::string word; words >> word;) {
    if (word.back() == ':') {
      word.pop_back();
      current = &types[word];
      current->name = word;
      continue;
    }
    std::string type;
    words >> type;
    if (type.back() == ',') type.pop_back();
    current->fields.push_back(ParseField(word, type));
  }
  AddObjectFields(&types);
  for (auto& [name, type] : types) {
    for (Field& field : type.fields) {
      if (IsScalar(field.type_name)) continue;
      auto found = types.find(field.type_name);
      CHECK(found != types.end()) << name << "." << field.name << ": no type " << field.type_name;
      field.type = &found->second;
    }
  }
  return types;
}

std::string_view WordOf(const Value& value) {
  switch (value.type) {
    case Value::Type::kBool:
      return "bool";
    case Value::Type::kInteger:
    case Value::Type::kNumber:
      return "number";
    case Value::Type::kString:
      return "string";
    case Value::Type::kSequence:
      return "array";
    case Value::Type::kMapping:
      return "object";
    default:
      return "null";
  }
}

bool Fits(const std::string& type, const Value& value) {
  using T = Value::Type;
  if (type == "any" || value.type == T::kNull) return true;
  if (type == "string" || type == "time") return value.type == T::kString;
  if (type == "int") return value.type == T::kInteger;
  if (type == "number") return value.type == T::kInteger || value.type == T::kNumber;
  if (type == "bool") return value.type == T::kBool;
  if (type == "intstr") return value.type == T::kInteger || value.type == T::kString;
  return value.type == T::kInteger || value.type == T::kNumber || value.type == T::kString;
}

std::string_view GoName(const std::string& type) {
  if (type == "int") return "int32";
  if (type == "time") return "time.Time";
  return type;
}

class Decoder {
 public:
  explicit Decoder(Decoded* out) : out_(out) {}

  void Object(const Type& type, Value& value, const std::string& path) {
    std::vector<Value::Member> kept;
    for (Value::Member& member : value.members) {
      const Field* field = type.Find(member.first);
      std::string at = path.empty() ? member.first : path + "." + member.first;
      if (!field) {
        out_->unknown.push_back("unknown field " + Quote(at));
        continue;
      }
      if (member.second.type == Value::Type::kNull) continue;
      Any(type, *field, member.second, at);
      if (IsOmitted(*field, member.second)) continue;
      kept.push_back(std::move(member));
    }
    value.members = std::move(kept);
  }

 private:
  // Nearly every list and map of the API is left out where it is empty (omitempty).
  static bool IsOmitted(const Field& field, const Value& value) {
    return field.shape != Field::Shape::kOne && !field.required && value.items.empty() &&
           value.members.empty();
  }

  void Any(const Type& parent, const Field& field, Value& value, const std::string& path) {
    switch (field.shape) {
      case Field::Shape::kOne:
        return One(parent, field, value, path);
      case Field::Shape::kList:
        if (value.type != Value::Type::kSequence) return Wrong(parent, field, value, "[]");
        for (size_t i = 0; i < value.items.size(); ++i)
          One(parent, field, value.items[i], path + "[" + std::to_string(i) + "]");
        return;
      case Field::Shape::kMap:
        if (value.type != Value::Type::kMapping) return Wrong(parent, field, value, "map[string]");
        for (Value::Member& member : value.members) {
          if (member.second.type == Value::Type::kNull && field.type_name == "string")
            member.second = String("");
          One(parent, field, member.second, path + "." + member.first);
        }
        return;
    }
  }

  void One(const Type& parent, const Field& field, Value& value, const std::string& path) {
    if (!field.type) {
      if (!Fits(field.type_name, value)) Wrong(parent, field, value, "");
      return;
    }
    if (value.type == Value::Type::kNull) {
      value = Mapping();
      return;
    }
    if (value.type != Value::Type::kMapping) return Wrong(parent, field, value, "");
    Object(*field.type, value, path);
  }

  // encoding/json's words, which kubectl users know.
  void Wrong(const Type& parent, const Field& field, const Value& value, std::string_view prefix) {
    if (!out_->wrong_type.empty()) return;
    out_->wrong_type =
        "json: cannot unmarshal " + std::string(WordOf(value)) + " into Go struct field " +
        parent.name + "." + field.name + " of type " + std::string(prefix) +
        std::string(field.type ? std::string_view(field.type_name) : GoName(field.type_name));
  }

  Decoded* out_;
};

}  // namespace

const Field* Type::Find(std::string_view field) const {
  auto found = std::find_if(fields.begin(), fields.end(),
                            [&](const Field& one) { return one.name == field; });
  return found == fields.end() ? nullptr : &*found;
}

const Types& AllTypes() {
  static const Types types = Compile();
  return types;
}

const Type* FindType(std::string_view name) {
  auto found = AllTypes().find(name);
  return found == AllTypes().end() ? nullptr : &found->second;
}

Decoded DecodeAs(const Type& type, Value& object) {
  Decoded out;
  Decoder(&out).Object(type, object, "");
  return out;
}

}  // namespace sallyport::apiserver

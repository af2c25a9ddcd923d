// SPDX-License-Identifier: Apache-2.0
#include "lab/tree.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sallyport::lab {
namespace {

const std::vector<Value> kNoItems;
const std::vector<Value::Member> kNoMembers;

void AppendQuoted(std::string_view text, std::string* out) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  out->push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\t':
        *out += "\\t";
        break;
      case '\r':
        *out += "\\r";
        break;
      default: {
        auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f) {
          out->push_back(c);
        } else {
          *out += "\\u00";
          out->push_back(kHex[byte >> 4]);
          out->push_back(kHex[byte & 15]);
        }
      }
    }
  }
  out->push_back('"');
}

void AppendJson(const Value& value, std::string* out) {
  switch (value.type) {
    case Value::Type::kNull:
      *out += "null";
      break;
    case Value::Type::kBool:
      *out += value.boolean ? "true" : "false";
      break;
    case Value::Type::kInteger:
      *out += std::to_string(value.integer);
      break;
    case Value::Type::kNumber:
      *out += value.text;
      break;
    case Value::Type::kString:
      AppendQuoted(value.text, out);
      break;
    case Value::Type::kSequence:
      out->push_back('[');
      for (size_t i = 0; i < value.items.size(); ++i) {
        if (i) *out += ",";
        AppendJson(value.items[i], out);
      }
      out->push_back(']');
      break;
    case Value::Type::kMapping:
      out->push_back('{');
      for (size_t i = 0; i < value.members.size(); ++i) {
        if (i) *out += ",";
        AppendQuoted(value.members[i].first, out);
        out->push_back(':');
        AppendJson(value.members[i].second, out);
      }
      out->push_back('}');
      break;
  }
}

Value* FindMember(Value& mapping, std::string_view key) {
  for (auto& [name, value] : mapping.members)
    if (name == key) return &value;
  return nullptr;
}

void BecomeMapping(Value& value) {
  if (value.type == Value::Type::kMapping) return;
  int line = value.line;
  value = Mapping();
  value.line = line;
}

}  // namespace

Value String(std::string text) {
  Value value;
  value.type = Value::Type::kString;
  value.text = std::move(text);
  return value;
}

Value Integer(int64_t number) {
  Value value;
  value.type = Value::Type::kInteger;
  value.integer = number;
  value.text = std::to_string(number);
  return value;
}

Value Boolean(bool truth) {
  Value value;
  value.type = Value::Type::kBool;
  value.boolean = truth;
  value.text = truth ? "true" : "false";
  return value;
}

Value Sequence(std::vector<Value> items) {
  Value value;
  value.type = Value::Type::kSequence;
  value.items = std::move(items);
  return value;
}

Value Mapping(std::vector<Value::Member> members) {
  Value value;
  value.type = Value::Type::kMapping;
  value.members = std::move(members);
  return value;
}

Value Strings(const std::vector<std::string>& texts) {
  Value value = Sequence();
  for (const std::string& text : texts) value.items.push_back(String(text));
  return value;
}

Value& Set(Value& mapping, std::string_view key, Value value) {
  BecomeMapping(mapping);
  if (Value* old = FindMember(mapping, key)) return *old = std::move(value);
  return mapping.members.emplace_back(std::string(key), std::move(value)).second;
}

void Erase(Value& mapping, std::string_view key) {
  std::erase_if(mapping.members, [&](const Value::Member& member) { return member.first == key; });
}

Value& Child(Value& mapping, std::string_view key) {
  BecomeMapping(mapping);
  Value* child = FindMember(mapping, key);
  if (!child) child = &mapping.members.emplace_back(std::string(key), Mapping()).second;
  BecomeMapping(*child);
  return *child;
}

const Value* At(const Value& value, std::initializer_list<std::string_view> path) {
  const Value* at = &value;
  for (std::string_view key : path) {
    at = at->Find(key);
    if (!at) return nullptr;
  }
  return at;
}

std::string Text(const Value* value) {
  if (!value) return "";
  switch (value->type) {
    case Value::Type::kString:
    case Value::Type::kNumber:
      return value->text;
    case Value::Type::kInteger:
      return std::to_string(value->integer);
    case Value::Type::kBool:
      return value->boolean ? "true" : "false";
    default:
      return "";
  }
}

std::string TextAt(const Value& value, std::initializer_list<std::string_view> path) {
  return Text(At(value, path));
}

std::optional<int64_t> IntegerAt(const Value& value, std::initializer_list<std::string_view> path) {
  const Value* found = At(value, path);
  if (!found || found->type != Value::Type::kInteger) return std::nullopt;
  return found->integer;
}

bool IsTrue(const Value* value) {
  return value && value->type == Value::Type::kBool && value->boolean;
}

const std::vector<Value>& Items(const Value* value) {
  return value && value->type == Value::Type::kSequence ? value->items : kNoItems;
}

const std::vector<Value::Member>& Members(const Value* value) {
  return value && value->type == Value::Type::kMapping ? value->members : kNoMembers;
}

std::vector<std::string> Texts(const Value* sequence) {
  std::vector<std::string> out;
  for (const Value& item : Items(sequence)) out.push_back(Text(&item));
  return out;
}

bool SameContent(const Value& a, const Value& b) {
  if (a.type != b.type) return false;
  switch (a.type) {
    case Value::Type::kSequence:
      return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                        SameContent);
    case Value::Type::kMapping:
      return a.members.size() == b.members.size() &&
             std::all_of(a.members.begin(), a.members.end(), [&](const Value::Member& member) {
               const Value* other = b.Find(member.first);
               return other && SameContent(member.second, *other);
             });
    default:
      return Text(&a) == Text(&b);
  }
}

std::string ToJson(const Value& value) {
  std::string out;
  AppendJson(value, &out);
  return out;
}

Result<Value> FromJson(std::string_view text, const std::string& file) {
  model::ParsedText parsed = model::ParseText(text, file);
  if (parsed.unreadable || parsed.documents.size() != 1) {
    std::string why = parsed.diagnostics.empty() ? "it should hold one JSON document"
                                                 : parsed.diagnostics.front().message;
    return Error{file + ": " + why, 0};
  }
  return std::move(parsed.documents.front());
}

model::ObjectName NameOf(const Value& object) {
  return {TextAt(object, {"metadata", "namespace"}), TextAt(object, {"metadata", "name"})};
}

std::string KindOf(const Value& object) { return TextAt(object, {"kind"}); }

}  // namespace sallyport::lab

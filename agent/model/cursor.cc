// SPDX-License-Identifier: Apache-2.0
#include "model/cursor.h"

#include <algorithm>

#include "model/suggest.h"

namespace sallyport::model {
namespace {

using Type = Value::Type;

std::string Name(Type type) {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "a boolean";
    case Type::kInteger:
    case Type::kNumber:
      return "a number";
    case Type::kString:
      return "a string";
    case Type::kSequence:
      return "a list";
    case Type::kMapping:
      return "a mapping";
  }
  return "something else";
}

// What the value should be, as against what it is.
std::string WrongType(Type wanted, const Value& value) {
  std::string want = wanted == Type::kInteger ? "an integer" : Name(wanted);
  bool scalar = value.type != Type::kSequence && value.type != Type::kMapping;
  std::string is = scalar && value.type != Type::kNull
                       ? Quoted(value.text) + ", " + Name(value.type)
                       : Name(value.type);
  std::string out = "must be " + want + ", but is " + is;
  if (wanted == Type::kString && scalar) {
    out += value.text.empty() ? "; write \"\"" : "; put it in quotes: \"" + value.text + "\"";
  }
  bool quoted_number = wanted == Type::kInteger && value.type == Type::kString &&
                       !value.text.empty() &&
                       value.text.find_first_not_of("0123456789") == std::string::npos;
  if (quoted_number) out += "; leave the quotes out";
  return out;
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 100;
  std::string out = "\"";
  for (char c : text.substr(0, kMost)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr char kHex[] = "0123456789abcdef";
      out.append("\\x") += kHex[(c >> 4) & 0xf];
      out += kHex[c & 0xf];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + (text.size() > kMost ? "...\"" : "\"");
}

void Report::SetObject(std::string kind, ObjectName name) {
  kind_ = std::move(kind);
  name_ = std::move(name);
}

void Report::Add(Severity severity, int line, std::string field, std::string message) {
  if (severity == Severity::kError) failed_ = true;
  std::string object = kind_;
  if (!name_.name.empty()) object += " " + name_.ToString();
  out_.push_back(
      {severity, {file_, line}, std::move(object), std::move(field), std::move(message)});
}

std::string Cursor::Path() const {
  std::string path = parent_ ? parent_->Path() : "";
  if (index_ >= 0) return path + "[" + std::to_string(index_) + "]";
  if (is_entry_) return path + "[" + std::string(key_) + "]";
  if (!path.empty() && !key_.empty()) path += '.';
  return path.append(key_);
}

void Cursor::Error(std::string message) const {
  report_->Add(Severity::kError, line(), Path(), std::move(message));
}

void Cursor::Warn(std::string message) const {
  report_->Add(Severity::kWarning, line(), Path(), std::move(message));
}

Cursor Cursor::Stand(std::string_view key) const {
  const Value* member = value_->Find(key);
  Cursor child(member ? *member : *value_, *this);
  child.key_ = key;
  return child;
}

void Cursor::ErrorAt(std::string_view key, std::string message) const {
  Stand(key).Error(std::move(message));
}

void Cursor::WarnAt(std::string_view key, std::string message) const {
  Stand(key).Warn(std::move(message));
}

Cursor Cursor::Item(size_t index) const {
  Cursor item(value_->items[index], *this);
  item.index_ = static_cast<int>(index);
  return item;
}

Cursor Cursor::Entry(const Value::Member& member) const {
  Cursor entry(member.second, *this);
  entry.key_ = member.first;
  entry.is_entry_ = true;
  return entry;
}

std::optional<Cursor> Cursor::Child(std::string_view key) const& {
  const Value* member = value_->Find(key);
  if (!member || member->type == Type::kNull) return std::nullopt;
  Cursor child(*member, *this);
  child.key_ = key;
  return child;
}

std::optional<Cursor> Cursor::Mapping(std::string_view key) const& {
  std::optional<Cursor> child = Child(key);
  return child && child->Is(Type::kMapping) ? child : std::nullopt;
}

std::optional<Cursor> Cursor::Sequence(std::string_view key) const& {
  std::optional<Cursor> child = Child(key);
  return child && child->Is(Type::kSequence) ? child : std::nullopt;
}

const std::string* Cursor::String(std::string_view key) const {
  std::optional<Cursor> child = Child(key);
  return child && child->Is(Type::kString) ? &child->text() : nullptr;
}

std::optional<int64_t> Cursor::Integer(std::string_view key) const {
  std::optional<Cursor> child = Child(key);
  if (!child || !child->Is(Type::kInteger)) return std::nullopt;
  return child->value().integer;
}

std::optional<bool> Cursor::Bool(std::string_view key) const {
  std::optional<Cursor> child = Child(key);
  if (!child || !child->Is(Type::kBool)) return std::nullopt;
  return child->value().boolean;
}

bool Cursor::IsMapping() const { return Is(Type::kMapping); }
bool Cursor::IsString() const { return Is(Type::kString); }

bool Cursor::Is(Type type) const {
  if (value_->type == type) return true;
  Error(WrongType(type, *value_));
  return false;
}

bool Cursor::NotNull() const {
  if (value_->type != Type::kNull) return true;
  Error("is empty: give it a value, or remove this item of the list");
  return false;
}

void Cursor::Known(const std::vector<std::string_view>& fields) const {
  constexpr size_t kFew = 6;
  for (const auto& [key, member] : value_->members) {
    if (std::find(fields.begin(), fields.end(), key) != fields.end()) continue;
    Cursor unknown(member, *this);
    unknown.key_ = key;
    bool refused = report_->unknown() == Severity::kError;
    std::string message = refused ? "unknown field" : "unknown field, ignored";
    if (std::string_view near = Nearest(key, fields); !near.empty()) {
      message.append("; did you mean ").append(near).append("?");
    } else if (fields.size() <= kFew) {
      for (size_t i = 0; i < fields.size(); ++i) {
        message.append(i == 0 ? "; known here: " : ", ").append(fields[i]);
      }
    }
    report_->Add(report_->unknown(), unknown.line(), unknown.Path(), std::move(message));
  }
}

}  // namespace sallyport::model

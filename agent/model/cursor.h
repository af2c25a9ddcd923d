// SPDX-License-Identifier: Apache-2.0
// Walks through an object's fields and reports what is wrong with them; internal to decoding.
//
// A Cursor is a value together with the path that led to it. Its readers check types: what has the
// wrong one is reported and reads as absent. Null reads as absent too, as the API server has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/diagnostic.h"
#include "model/document.h"
#include "model/snapshot.h"

namespace sallyport::model {

// Text in quotes, for a message: escaped where unprintable, shortened where long.
std::string Quoted(std::string_view text);

// The diagnostics of one object.
class Report {
 public:
  Report(const std::string& file, Diagnostics& out) : file_(file), out_(out) {}
  // "NetworkPolicy shop/web", for all that is reported from now on.
  void SetObject(std::string kind, ObjectName name);
  void Add(Severity severity, int line, std::string field, std::string message);
  // The object is broken, for a reason that was reported elsewhere.
  void Fail() { failed_ = true; }
  // From now on members that the API does not have are errors.
  void RefuseUnknown() { unknown_ = Severity::kError; }
  Severity unknown() const { return unknown_; }
  bool failed() const { return failed_; }
  const std::string& file() const { return file_; }

 private:
  const std::string& file_;
  Diagnostics& out_;
  std::string kind_;
  ObjectName name_;
  bool failed_ = false;
  Severity unknown_ = Severity::kWarning;
};

class Cursor {
 public:
  // `prefix` is the path of the object itself: "" or that in a List.
  Cursor(const Value& value, Report& report, std::string_view prefix = "")
      : value_(&value), report_(&report), key_(prefix) {}

  const Value& value() const { return *value_; }
  int line() const { return value_->line; }
  const std::string& text() const { return value_->text; }
  // Of a field, or of an entry in a map with free keys.
  std::string_view key() const { return key_; }
  Report& report() const { return *report_; }
  // "spec.ingress[0].ports[1].port"
  std::string Path() const;

  void Error(std::string message) const;
  void Warn(std::string message) const;
  // About a member, also one that is not there.
  void ErrorAt(std::string_view key, std::string message) const;
  void WarnAt(std::string_view key, std::string message) const;

  // A cursor points to the one it came from, which must outlive it.
  std::optional<Cursor> Child(std::string_view key) const&;
  std::optional<Cursor> Child(std::string_view key) const&& = delete;
  std::optional<Cursor> Mapping(std::string_view key) const&;
  std::optional<Cursor> Mapping(std::string_view key) const&& = delete;
  std::optional<Cursor> Sequence(std::string_view key) const&;
  std::optional<Cursor> Sequence(std::string_view key) const&& = delete;
  // Scalars that point into the document.
  const std::string* String(std::string_view key) const;
  std::optional<int64_t> Integer(std::string_view key) const;
  std::optional<bool> Bool(std::string_view key) const;

  // Calls `visit(Cursor)` for each item of the sequence `key`; null items are errors.
  template <typename Visit>
  void Each(std::string_view key, Visit visit) const {
    std::optional<Cursor> list = Sequence(key);
    for (size_t i = 0; list && i < list->value().items.size(); ++i) {
      Cursor item = list->Item(i);
      if (item.NotNull()) visit(item);
    }
  }
  // The same for the members of the mapping `key`; null values are visited too.
  template <typename Visit>
  void EachMember(std::string_view key, Visit visit) const {
    std::optional<Cursor> map = Mapping(key);
    if (!map) return;
    for (const Value::Member& member : map->value().members) visit(map->Entry(member));
  }

  // Whether it is of the type; reported if not.
  bool IsMapping() const;
  bool IsString() const;

  // Warns of members that the API does not have here, or refuses them (Report::RefuseUnknown).
  void Known(const std::vector<std::string_view>& fields) const;

 private:
  Cursor(const Value& value, const Cursor& parent) : value_(&value), report_(parent.report_) {
    parent_ = &parent;
  }
  Cursor Item(size_t index) const;
  Cursor Entry(const Value::Member& member) const;
  bool NotNull() const;
  bool Is(Value::Type type) const;
  // The member, or this value in its stead.
  Cursor Stand(std::string_view key) const;

  const Value* value_;
  Report* report_;
  const Cursor* parent_ = nullptr;
  std::string_view key_;   // of a field, or of a map's entry
  int index_ = -1;         // of an item
  bool is_entry_ = false;  // of a map with free keys: [key]
};

}  // namespace sallyport::model

// SPDX-License-Identifier: Apache-2.0
// A parsed YAML or JSON document: a tree of values that remember their line.
//
// One tree for both syntaxes, so that everything above it is written once. Scalars carry their
// type as the Kubernetes API would see it after YAML-to-JSON conversion (sigs.k8s.io/yaml: YAML 1.1
// booleans such as yes/on are booleans; unquoted numbers are numbers).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/diagnostic.h"

namespace sallyport::model {

struct Value {
  enum class Type { kNull, kBool, kInteger, kNumber, kString, kSequence, kMapping };
  struct Member;

  Type type = Type::kNull;
  int line = 0;      // 1-based, of the value's first character
  std::string text;  // scalars: the text as written (strings: unescaped; null: empty)
  bool boolean = false;
  // A key was given twice in or below this mapping (reported already, the first one stands): what
  // is made of it is broken.
  bool flawed = false;
  int64_t integer = 0;          // kInteger only; what does not fit is kNumber
  std::vector<Value> items;     // kSequence
  std::vector<Member> members;  // kMapping, in the order written; keys unique

  // A mapping's member; nullptr where absent or where this is no mapping.
  const Value* Find(std::string_view key) const;
  bool IsString() const { return type == Type::kString; }
};

// A key and its value. No std::pair: that one wants to know all about Value while Value is not
// complete yet.
struct Value::Member {
  Member(std::string key, Value value) : first(std::move(key)), second(std::move(value)) {}

  std::string first;
  Value second;
};

using Document = Value;

struct ParsedText {
  std::vector<Document> documents;  // those before an error; empty (null) documents are left out
  Diagnostics diagnostics;          // at most one syntax error, duplicate keys
  bool unreadable = false;
};

// YAML or JSON, by content; documents are split at lines that start with "---", as kubectl does.
// Bounded: nesting deeper than 64, more than 4 million values in a document, aliases, and texts of
// more than 32 MiB are errors. UTF-8 only.
ParsedText ParseText(std::string_view text, const std::string& file);

// The same, document by document, so that a large text is never held as one tree. What it returns
// has no documents.
ParsedText ParseText(std::string_view text, const std::string& file,
                     const std::function<void(Document)>& take);

}  // namespace sallyport::model

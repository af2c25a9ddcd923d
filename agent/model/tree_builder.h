// SPDX-License-Identifier: Apache-2.0
// Builds the tree of one document from parser events; internal to document.h's parsers.
//
// The bounds live here, so that every syntax has the same: depth, number of values, unique keys.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "model/document.h"

namespace sallyport::model {

struct SyntaxError {
  int line = 0;
  std::string message;
};

class TreeBuilder {
 public:
  static constexpr size_t kMaxDepth = 64;
  static constexpr size_t kMaxValues = 4'000'000;  // in one document

  // Each event says whether to go on; once one returned false all do, and error() says why.
  bool StartMapping(int line);
  bool StartSequence(int line);
  bool End();
  bool Scalar(Value value);
  // The next value's key. A second one of the same name is remembered in repeats(), its value
  // is dropped, and the mappings around it are marked `flawed`.
  bool Key(std::string key, int line);
  bool Fail(int line, std::string message);

  // In a mapping, where a key comes next.
  bool ExpectsKey() const { return !stack_.empty() && stack_.back().wants_key; }
  // In a mapping, where a value comes next.
  bool AfterKey() const {
    return !stack_.empty() && stack_.back().value->type == Value::Type::kMapping && !ExpectsKey();
  }
  const std::optional<SyntaxError>& error() const { return error_; }
  const std::vector<SyntaxError>& repeats() const { return repeats_; }
  // Where the innermost list or mapping that is not complete begins, or the last key in it.
  int open_line() const { return stack_.empty() ? 0 : stack_.back().line; }
  // Whether a document has been completed since the last Take().
  bool complete() const { return complete_; }
  Document Take();

 private:
  struct Frame {
    Value* value;
    int line;  // of the value, then of its last key
    bool wants_key;
    bool drops_next = false;               // the value of a repeated key
    std::unordered_set<std::string> keys;  // used once the mapping is large
  };

  // Where the next value goes; nullptr after an error.
  Value* Place(int line);
  bool Has(Frame& frame, const std::string& key);

  Value root_;
  std::deque<Value> dropped_;  // frames may point into them
  std::vector<Frame> stack_;
  size_t values_ = 0;
  bool complete_ = false;
  std::optional<SyntaxError> error_;
  std::vector<SyntaxError> repeats_;
};

}  // namespace sallyport::model

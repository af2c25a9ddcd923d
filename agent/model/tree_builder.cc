// SPDX-License-Identifier: Apache-2.0
#include "model/tree_builder.h"

#include <algorithm>
#include <utility>

namespace sallyport::model {
namespace {

// Up to this size a mapping is searched as it is; beyond it gets an index.
constexpr size_t kSmallMapping = 32;

}  // namespace

bool TreeBuilder::Fail(int line, std::string message) {
  if (!error_) error_ = SyntaxError{line, std::move(message)};
  return false;
}

Value* TreeBuilder::Place(int line) {
  if (error_) return nullptr;
  if (++values_ > kMaxValues) {
    Fail(line, "more than " + std::to_string(kMaxValues) +
                   " values in one document: split it into several");
    return nullptr;
  }
  if (stack_.empty()) return &root_;
  Frame& frame = stack_.back();
  if (frame.value->type == Value::Type::kSequence) return &frame.value->items.emplace_back();
  frame.wants_key = true;
  if (std::exchange(frame.drops_next, false)) return &dropped_.emplace_back();
  return &frame.value->members.back().second;
}

bool TreeBuilder::Scalar(Value value) {
  Value* place = Place(value.line);
  if (!place) return false;
  *place = std::move(value);
  complete_ = stack_.empty();
  return true;
}

bool TreeBuilder::StartMapping(int line) {
  if (stack_.size() >= kMaxDepth) {
    return Fail(line, "nested more than " + std::to_string(kMaxDepth) + " levels deep");
  }
  Value* place = Place(line);
  if (!place) return false;
  place->type = Value::Type::kMapping;
  place->line = line;
  stack_.push_back({place, line, true, false, {}});
  return true;
}

bool TreeBuilder::StartSequence(int line) {
  if (!StartMapping(line)) return false;
  stack_.back().value->type = Value::Type::kSequence;
  stack_.back().wants_key = false;
  return true;
}

bool TreeBuilder::End() {
  if (error_) return false;
  stack_.pop_back();
  complete_ = stack_.empty();
  return true;
}

bool TreeBuilder::Has(Frame& frame, const std::string& key) {
  const auto& members = frame.value->members;
  if (members.size() < kSmallMapping) {
    return std::any_of(members.begin(), members.end(),
                       [&](const auto& m) { return m.first == key; });
  }
  if (frame.keys.empty()) {
    for (const auto& member : members) frame.keys.insert(member.first);
  }
  return !frame.keys.insert(key).second;
}

bool TreeBuilder::Key(std::string key, int line) {
  if (error_) return false;
  Frame& frame = stack_.back();
  frame.wants_key = false;
  frame.line = line;
  if (Has(frame, key)) {
    repeats_.push_back({line, "key \"" + key + "\" is given twice in one mapping: keep one"});
    frame.drops_next = true;
    // What stands under a dropped value is not in the tree, but its frames are on the stack.
    for (Frame& around : stack_) around.value->flawed = true;
    return true;
  }
  frame.value->members.emplace_back(std::move(key), Value());
  return true;
}

Document TreeBuilder::Take() {
  values_ = 0;
  dropped_.clear();
  complete_ = false;
  return std::exchange(root_, Value());
}

}  // namespace sallyport::model

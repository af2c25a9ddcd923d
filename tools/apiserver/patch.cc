// SPDX-License-Identifier: Apache-2.0
#include "apiserver/patch.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "apiserver/status.h"

namespace sallyport::apiserver {
namespace {

constexpr std::string_view kPatch = "$patch";
constexpr std::string_view kRetainKeys = "$retainKeys";
constexpr std::string_view kDeleteFromList = "$deleteFromPrimitiveList/";
constexpr std::string_view kElementOrder = "$setElementOrder/";

Failure Unprocessable(std::string message) {
  return {.code = 422, .reason = "Invalid", .message = std::move(message)};
}

// ---- RFC 6902

std::vector<std::string> PointerParts(const std::string& pointer) {
  std::vector<std::string> out;
  if (pointer.empty()) return out;
  if (pointer.front() != '/') throw BadRequest("JSON pointer must start with /: " + pointer);
  for (size_t at = 0; at < pointer.size();) {
    size_t end = std::min(pointer.find('/', at + 1), pointer.size());
    std::string part = pointer.substr(at + 1, end - at - 1);
    for (size_t tilde; (tilde = part.find("~1")) != part.npos;) part.replace(tilde, 2, "/");
    for (size_t tilde; (tilde = part.find("~0")) != part.npos;) part.replace(tilde, 2, "~");
    out.push_back(std::move(part));
    at = end;
  }
  return out;
}

// A position in a list; size() for "-" and for the end where `insert`.
size_t Position(const Value& list, const std::string& part, bool insert) {
  size_t most = list.items.size() + (insert ? 1 : 0);
  if (insert && part == "-") return list.items.size();
  size_t at = 0;
  auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), at);
  if (error != std::errc() || end != part.data() + part.size() || at >= most)
    throw Unprocessable("the server rejected our request due to an error in our request: " + part +
                        " is not a position in the list");
  return at;
}

Value* Step(Value& value, const std::string& part) {
  if (value.type == Value::Type::kSequence) return &value.items[Position(value, part, false)];
  return Find(value, part);
}

class JsonPatcher {
 public:
  explicit JsonPatcher(Value& object) : object_(object) {}

  void Apply(const Value& operation) {
    std::string op = TextAt(operation, {"op"});
    std::string path = TextAt(operation, {"path"});
    const Value* value = operation.Find("value");
    if (op == "add") {
      Add(path, Needed(value));
    } else if (op == "remove") {
      Take(path);
    } else if (op == "replace") {
      At(path) = Needed(value);
    } else if (op == "move") {
      Value moved = Take(TextAt(operation, {"from"}));
      Add(path, std::move(moved));
    } else if (op == "copy") {
      Value copied = At(TextAt(operation, {"from"}));
      Add(path, std::move(copied));
    } else if (op == "test") {
      if (!SameContent(At(path), value ? *value : Value()))
        throw Unprocessable(
            "the server rejected our request due to an error in our request: "
            "testing value " +
            path + " failed");
    } else {
      throw BadRequest("unknown operation " + Quote(op) +
                       ": one of add, remove, replace, move, copy, test");
    }
  }

 private:
  static Value Needed(const Value* value) {
    if (!value) throw BadRequest("an operation has no value");
    return *value;
  }

  Value& At(const std::string& path) {
    Value* at = &object_;
    for (const std::string& part : PointerParts(path)) {
      at = Step(*at, part);
      if (!at) throw Missing(path);
    }
    return *at;
  }

  std::pair<Value*, std::string> Parent(const std::string& path) {
    std::vector<std::string> parts = PointerParts(path);
    if (parts.empty()) throw BadRequest("the whole object cannot be added or removed");
    Value* at = &object_;
    for (size_t i = 0; i + 1 < parts.size(); ++i)
      if (!(at = Step(*at, parts[i]))) throw Missing(path);
    return {at, parts.back()};
  }

  void Add(const std::string& path, Value value) {
    if (path.empty()) {
      object_ = std::move(value);
      return;
    }
    auto [parent, key] = Parent(path);
    if (parent->type == Value::Type::kSequence) {
      size_t at = Position(*parent, key, true);
      parent->items.insert(parent->items.begin() + static_cast<std::ptrdiff_t>(at),
                           std::move(value));
    } else if (parent->type == Value::Type::kMapping) {
      Set(*parent, key, std::move(value));
    } else {
      throw Missing(path);
    }
  }

  Value Take(const std::string& path) {
    Value out = At(path);
    auto [parent, key] = Parent(path);
    if (parent->type == Value::Type::kSequence) {
      parent->items.erase(parent->items.begin() +
                          static_cast<std::ptrdiff_t>(Position(*parent, key, false)));
    } else {
      Erase(*parent, key);
    }
    return out;
  }

  static Failure Missing(const std::string& path) {
    return Unprocessable(
        "the server rejected our request due to an error in our request: nothing is at " + path);
  }

  Value& object_;
};

// ---- strategic merge patch

bool IsDirective(std::string_view key) { return !key.empty() && key.front() == '$'; }

// What a patch leaves behind where nothing was: without directives and nulls.
Value WithoutDirectives(const Value& patch) {
  if (patch.type == Value::Type::kSequence) {
    Value out = Sequence();
    for (const Value& item : patch.items)
      if (TextAt(item, {kPatch}) != "delete") out.items.push_back(WithoutDirectives(item));
    return out;
  }
  if (patch.type != Value::Type::kMapping) return patch;
  Value out = Mapping();
  for (const auto& [key, value] : patch.members) {
    if (IsDirective(key) || value.type == Value::Type::kNull) continue;
    out.members.emplace_back(key, WithoutDirectives(value));
  }
  return out;
}

class StrategicMerge {
 public:
  void Mapping(Value& target, const Value& patch, const Type* type) {
    std::string directive = TextAt(patch, {kPatch});
    if (directive == "replace") {
      target = WithoutDirectives(patch);
      return;
    }
    if (directive == "delete") {
      target = lab::Mapping();
      return;
    }
    if (!directive.empty() && directive != "merge")
      throw BadRequest("Unknown patch directive: " + directive);
    RetainKeys(target, patch);
    DeleteFromLists(target, patch);
    for (const auto& [key, value] : patch.members) {
      if (IsDirective(key)) continue;
      const Field* field = type ? type->Find(key) : nullptr;
      Member(target, key, value, field, patch.Find(std::string(kElementOrder) + key));
    }
    // An order may be given without a change of the list itself.
    for (const auto& [key, order] : patch.members) {
      if (!key.starts_with(kElementOrder)) continue;
      std::string list = key.substr(kElementOrder.size());
      Value* target_list = Find(target, list);
      if (patch.Find(list) || !target_list) continue;
      const Field* field = type ? type->Find(list) : nullptr;
      std::vector<Value> before = target_list->items;
      Order(*target_list, before, order, field ? field->merge_key : "");
    }
  }

 private:
  static void RetainKeys(Value& target, const Value& patch) {
    const Value* retained = patch.Find(kRetainKeys);
    if (!retained) return;
    std::vector<std::string> keys = Texts(retained);
    std::erase_if(target.members, [&](const Value::Member& member) {
      return std::find(keys.begin(), keys.end(), member.first) == keys.end();
    });
  }

  static void DeleteFromLists(Value& target, const Value& patch) {
    for (const Value::Member& member : patch.members) {
      if (!member.first.starts_with(kDeleteFromList)) continue;
      Value* list = Find(target, member.first.substr(kDeleteFromList.size()));
      if (!list) continue;
      std::erase_if(list->items, [&](const Value& item) { return Contains(member.second, item); });
    }
  }

  void Member(Value& target, const std::string& key, const Value& value, const Field* field,
              const Value* order) {
    Value* old = Find(target, key);
    if (value.type == Value::Type::kNull) {
      Erase(target, key);
      return;
    }
    if (value.type == Value::Type::kMapping && IsMapping(old)) {
      const Type* inner = field && field->shape == Field::Shape::kOne ? field->type : nullptr;
      Mapping(*old, value, inner);
      return;
    }
    if (value.type == Value::Type::kSequence && field && field->merges) {
      if (!IsSequence(old)) old = &Set(target, key, Sequence());
      List(*old, value, *field, order);
      return;
    }
    if (TextAt(value, {kPatch}) == "delete") {
      Erase(target, key);
      return;
    }
    Set(target, key, WithoutDirectives(value));
  }

  void List(Value& target, const Value& patch, const Field& field, const Value* order) {
    std::vector<Value> before = target.items;
    if (field.merge_key.empty()) {
      for (const Value& item : patch.items)
        if (!Contains(target, item)) target.items.push_back(item);
    } else {
      bool replace = std::any_of(patch.items.begin(), patch.items.end(), [](const Value& item) {
        return TextAt(item, {kPatch}) == "replace";
      });
      if (replace) target.items.clear();
      for (const Value& item : patch.items) Item(target, item, field, replace);
    }
    Order(target, before, order ? *order : patch, field.merge_key);
  }

  void Item(Value& target, const Value& item, const Field& field, bool replace) {
    std::string directive = TextAt(item, {kPatch});
    const Value* id = item.Find(field.merge_key);
    if (replace) {
      if (directive != "replace" || item.members.size() > 1)
        target.items.push_back(WithoutDirectives(item));
      return;
    }
    if (!id)
      throw BadRequest("map: " + ToJson(item) +
                       " does not contain declared merge key: " + field.merge_key);
    auto same = [&](const Value& one) {
      const Value* other = one.Find(field.merge_key);
      return other && SameContent(*other, *id);
    };
    if (directive == "delete") {
      std::erase_if(target.items, same);
      return;
    }
    auto found = std::find_if(target.items.begin(), target.items.end(), same);
    if (found == target.items.end()) {
      target.items.push_back(WithoutDirectives(item));
    } else {
      Mapping(*found, item, field.type);
    }
  }

  static bool Contains(const Value& list, const Value& item) {
    return std::any_of(list.items.begin(), list.items.end(),
                       [&](const Value& one) { return SameContent(one, item); });
  }

  // Items that the patch names come in its order, the others in that of before; where the two do
  // not say who is first, the patch's is.
  static void Order(Value& list, const std::vector<Value>& before, const Value& order,
                    const std::string& merge_key) {
    auto rank = [&](const std::vector<Value>& all, const Value& item) -> size_t {
      for (size_t i = 0; i < all.size(); ++i) {
        const Value* want = merge_key.empty() ? &all[i] : all[i].Find(merge_key);
        const Value* have = merge_key.empty() ? &item : item.Find(merge_key);
        if (want && have && SameContent(*want, *have)) return i;
      }
      return SIZE_MAX;
    };
    std::vector<std::pair<size_t, Value>> named;
    std::vector<Value> others;
    for (Value& item : list.items) {
      size_t place = rank(order.items, item);
      if (place == SIZE_MAX) {
        others.push_back(std::move(item));
      } else {
        named.emplace_back(place, std::move(item));
      }
    }
    std::stable_sort(named.begin(), named.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    list.items.clear();
    auto other = others.begin();
    for (auto& [place, item] : named) {
      size_t was = rank(before, item);
      while (other != others.end() && was != SIZE_MAX && rank(before, *other) < was)
        list.items.push_back(std::move(*other++));
      list.items.push_back(std::move(item));
    }
    list.items.insert(list.items.end(), std::make_move_iterator(other),
                      std::make_move_iterator(others.end()));
  }
};

}  // namespace

void ApplyJsonPatch(Value& object, const Value& patch) {
  if (patch.type != Value::Type::kSequence)
    throw BadRequest("a JSON patch is a list of operations");
  if (patch.items.size() > 10'000)
    throw Failure{.code = 413,
                  .reason = "RequestEntityTooLarge",
                  .message = "The allowed maximum operations in a JSON patch is 10000, got " +
                             std::to_string(patch.items.size())};
  JsonPatcher patcher(object);
  for (const Value& operation : patch.items) patcher.Apply(operation);
}

void ApplyMergePatch(Value& object, const Value& patch) {
  for (const auto& [key, value] : patch.members) {
    if (value.type == Value::Type::kNull) {
      Erase(object, key);
    } else if (value.type == Value::Type::kMapping) {
      Value* old = Find(object, key);
      if (!IsMapping(old)) old = &Set(object, key, Mapping());
      ApplyMergePatch(*old, value);
    } else {
      Set(object, key, value);
    }
  }
}

void ApplyStrategicPatch(Value& object, const Value& patch, const Type* type) {
  StrategicMerge().Mapping(object, patch, type);
}

}  // namespace sallyport::apiserver

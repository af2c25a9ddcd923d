// SPDX-License-Identifier: Apache-2.0
// Finds the objects in what an API server streams, whatever the pieces it comes in: the items of a
// list, the events of a watch. Memory is that of one object, never of the stream. Pure.
//
// Only brackets, strings and what stands between members is understood here; whether an object is
// JSON throughout is its decoder's to say.
#pragma once

#include <climits>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::watch {

// Bounds of one object. etcd takes 1.5 MiB; as text that may be some times larger.
inline constexpr size_t kMaxObjectText = 32u << 20;
inline constexpr int kMaxObjectDepth = 100;

// Finds the end of one value that comes in pieces: a mapping, a list or a string.
class ValueEnd {
 public:
  // Goes on at text[at], the value's first character or where the last piece ended. Returns where
  // the value ends, or the text; open() says which.
  size_t Find(std::string_view text, size_t at);
  bool open() const { return depth_ > 0 || in_string_; }
  bool too_deep() const { return depth_ > most_; }
  // It may be as deep as it likes.
  void AllowAnyDepth() { most_ = INT_MAX; }

 private:
  int depth_ = 0, most_ = kMaxObjectDepth;
  bool in_string_ = false, escaped_ = false;
};

// Gathers the text of one such value.
class ValueText {
 public:
  // Takes the value's next piece off `bytes`. The whole text once it is there, valid until the next
  // call; an Error where it is too large or too deep.
  Result<std::optional<std::string_view>> Take(std::string_view& bytes, ValueEnd& end);
  // What came of it is not needed.
  void Forget() { whole_ = true; }

 private:
  std::string kept_;
  bool whole_ = true;
};

// The end of the value that begins at text[at]; 0 where it is not all there.
size_t EndOfValue(std::string_view text, size_t at);

// Goes through the mapping or list that begins at text[at]: `walk(key, at)` gets each member's key
// as written between its quotes (of an item, "") and where its value begins, and returns where that
// ends, or 0 to break off. Returns where the whole ends; 0 where it is not well-formed. So each
// byte is looked at once, however deep.
using WalkMember = std::function<size_t(std::string_view key, size_t at)>;
size_t WalkMembers(std::string_view text, size_t at, const WalkMember& walk);

// The same with each value's text, for a text that is nothing but the mapping or list. False where
// it is neither, or is not well-formed.
using VisitMember = std::function<void(std::string_view key, std::string_view value)>;
bool EachMember(std::string_view text, const VisitMember& visit);

// The string in a string's text, as long as it has no escapes; else "".
std::string_view PlainString(std::string_view text);

// Where a list is, and how it goes on.
struct ListPosition {
  std::string resource_version;
  std::string continue_token;  // "": this was the last page
  bool plain = true;           // false: one of them is something else than a string, or has escapes
};
// From the text of a ListMeta or an ObjectMeta.
ListPosition ReadPosition(std::string_view metadata);

// {"kind":"PodList","metadata":{...},"items":[{...},...]}: each item as it is complete. One that is
// too large or too deep is left out, and told of as an empty text.
class ListSplitter {
 public:
  using OnItem = std::function<void(std::string_view)>;
  explicit ListSplitter(OnItem on_item) : on_item_(std::move(on_item)) {}

  Status Feed(std::string_view bytes);
  // What the list says of itself, once it is whole. An Error if it is not, or is no list.
  Result<ListPosition> Finish() const;

 private:
  enum class Stage { kStart, kKey, kColon, kValue, kScalar, kItem, kEnd };
  Result<size_t> Between(std::string_view bytes);
  Status Step(char c);
  Status Begin(Stage stage);
  Status Complete(std::string_view text);
  Status TakeValue(std::string_view& bytes);

  OnItem on_item_;
  Stage stage_ = Stage::kStart;
  ValueEnd end_;
  ValueText value_;
  std::string key_;
  bool leaving_out_ = false;  // the item that runs
  bool has_metadata_ = false;
  ListPosition position_;
};

// {"type":"ADDED","object":{...}}, one after the other.
class EventSplitter {
 public:
  // `object` is empty if there is none. False: enough, the rest is not looked at.
  using OnEvent = std::function<bool(std::string_view type, std::string_view object)>;
  explicit EventSplitter(OnEvent on_event) : on_event_(std::move(on_event)) {}

  // False once an event was enough.
  Result<bool> Feed(std::string_view bytes);
  // Whether an event was cut short.
  bool cut() const { return end_.open(); }

 private:
  OnEvent on_event_;
  ValueEnd end_;
  ValueText value_;
};

}  // namespace sallyport::watch

// SPDX-License-Identifier: Apache-2.0
// Labels and label selectors (meta/v1 LabelSelector).
#pragma once

#include <compare>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::model {

// Label that the API server keeps on every namespace: its own name.
inline constexpr std::string_view kNamespaceNameLabel = "kubernetes.io/metadata.name";

// An immutable map of label keys to values, sorted by key.
class Labels {
 public:
  using Entry = std::pair<std::string, std::string>;

  Labels() = default;
  // Any order; of two entries with one key the last wins.
  explicit Labels(std::vector<Entry> entries);
  Labels(std::initializer_list<Entry> entries) : Labels(std::vector<Entry>(entries)) {}

  // nullptr where the key is absent.
  const std::string* Find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  // "a=1,b=2"
  std::string ToString() const;

  friend auto operator<=>(const Labels&, const Labels&) = default;

 private:
  std::vector<Entry> entries_;
};

enum class Operator { kIn, kNotIn, kExists, kDoesNotExist };

struct Requirement {
  std::string key;
  Operator op = Operator::kIn;
  std::vector<std::string> values;  // sorted, unique; empty for kExists and kDoesNotExist

  // NotIn and DoesNotExist hold where the key is absent.
  bool Matches(const Labels& labels) const;
  std::string ToString() const;
  friend auto operator<=>(const Requirement&, const Requirement&) = default;
};

// All requirements hold (AND). Canonical: matchLabels are In with one value; sorted, unique. So
// selectors that are written differently but mean the same by construction compare equal. Without
// requirements it matches everything.
class Selector {
 public:
  Selector() = default;
  explicit Selector(std::vector<Requirement> requirements);
  Selector(std::initializer_list<Requirement> requirements)
      : Selector(std::vector<Requirement>(requirements)) {}

  bool Matches(const Labels& labels) const;
  bool MatchesEverything() const { return requirements_.empty(); }
  // No other label makes a difference to it.
  bool AsksOnlyFor(std::string_view key) const;
  const std::vector<Requirement>& requirements() const { return requirements_; }
  // "app=web,tier in (a,b),!old"; "<everything>" when empty.
  std::string ToString() const;

  friend auto operator<=>(const Selector&, const Selector&) = default;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace sallyport::model

// SPDX-License-Identifier: Apache-2.0
#include "model/labels.h"

#include <algorithm>

namespace sallyport::model {
namespace {

template <typename T>
void SortUnique(std::vector<T>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

template <typename T, typename Print>
std::string Join(const std::vector<T>& items, Print print) {
  std::string out;
  for (const T& item : items) {
    if (!out.empty()) out += ',';
    out += print(item);
  }
  return out;
}

std::string Parenthesised(const std::vector<std::string>& values) {
  std::string out = "(";
  for (size_t i = 0; i < values.size(); ++i) out.append(i == 0 ? "" : ",").append(values[i]);
  return out + ")";
}

}  // namespace

Labels::Labels(std::vector<Entry> entries) : entries_(std::move(entries)) {
  auto by_key = [](const Entry& a, const Entry& b) { return a.first < b.first; };
  std::stable_sort(entries_.begin(), entries_.end(), by_key);
  // Of a run of equal keys the last entry stays.
  auto out = entries_.begin();
  for (auto in = entries_.begin(); in != entries_.end(); ++in) {
    if (auto next = in + 1; next != entries_.end() && next->first == in->first) continue;
    if (out != in) *out = std::move(*in);
    ++out;
  }
  entries_.erase(out, entries_.end());
}

const std::string* Labels::Find(std::string_view key) const {
  auto it = std::lower_bound(entries_.begin(), entries_.end(), key,
                             [](const Entry& e, std::string_view k) { return e.first < k; });
  return it != entries_.end() && it->first == key ? &it->second : nullptr;
}

std::string Labels::ToString() const {
  return Join(entries_, [](const Entry& e) { return e.first + "=" + e.second; });
}

bool Requirement::Matches(const Labels& labels) const {
  const std::string* value = labels.Find(key);
  bool listed = value && std::binary_search(values.begin(), values.end(), *value);
  switch (op) {
    case Operator::kIn:
      return listed;
    case Operator::kNotIn:
      return !listed;
    case Operator::kExists:
      return value != nullptr;
    case Operator::kDoesNotExist:
      return value == nullptr;
  }
  return false;
}

std::string Requirement::ToString() const {
  switch (op) {
    case Operator::kIn:
      return values.size() == 1 ? key + "=" + values[0] : key + " in " + Parenthesised(values);
    case Operator::kNotIn:
      return values.size() == 1 ? key + "!=" + values[0] : key + " notin " + Parenthesised(values);
    case Operator::kExists:
      return key;
    case Operator::kDoesNotExist:
      return "!" + key;
  }
  return key;
}

Selector::Selector(std::vector<Requirement> requirements) : requirements_(std::move(requirements)) {
  for (Requirement& requirement : requirements_) SortUnique(requirement.values);
  SortUnique(requirements_);
}

bool Selector::Matches(const Labels& labels) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return r.Matches(labels); });
}

bool Selector::AsksOnlyFor(std::string_view key) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return r.key == key; });
}

std::string Selector::ToString() const {
  if (MatchesEverything()) return "<everything>";
  return Join(requirements_, [](const Requirement& r) { return r.ToString(); });
}

}  // namespace sallyport::model

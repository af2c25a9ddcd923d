// SPDX-License-Identifier: Apache-2.0
#include "lab/selector.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace sallyport::lab {
namespace {

std::optional<model::Operator> ParseOperator(const std::string& word) {
  if (word == "In") return model::Operator::kIn;
  if (word == "NotIn") return model::Operator::kNotIn;
  if (word == "Exists") return model::Operator::kExists;
  if (word == "DoesNotExist") return model::Operator::kDoesNotExist;
  return std::nullopt;
}

}  // namespace

model::Labels LabelsOf(const Value& object) {
  std::vector<model::Labels::Entry> entries;
  for (const auto& [key, value] : Members(At(object, {"metadata", "labels"})))
    entries.emplace_back(key, Text(&value));
  return model::Labels(std::move(entries));
}

Result<std::vector<model::Requirement>> ParseRequirements(const Value* expressions) {
  std::vector<model::Requirement> out;
  for (const Value& expression : Items(expressions)) {
    std::string word = TextAt(expression, {"operator"});
    auto op = ParseOperator(word);
    if (!op) return Error{"operator \"" + word + "\" is not In, NotIn, Exists or DoesNotExist", 0};
    model::Requirement requirement{TextAt(expression, {"key"}), *op,
                                   Texts(expression.Find("values"))};
    std::sort(requirement.values.begin(), requirement.values.end());
    out.push_back(std::move(requirement));
  }
  return out;
}

Result<model::Selector> SelectorOfMap(const Value* map) {
  std::vector<model::Requirement> requirements;
  for (const auto& [key, value] : Members(map))
    requirements.push_back({key, model::Operator::kIn, {Text(&value)}});
  return model::Selector(std::move(requirements));
}

Result<model::Selector> ParseSelector(const Value* selector) {
  if (!selector) return Error{"no selector", 0};
  auto requirements = ParseRequirements(selector->Find("matchExpressions"));
  if (!requirements) return std::move(requirements).error();
  for (const auto& [key, value] : Members(selector->Find("matchLabels")))
    requirements->push_back({key, model::Operator::kIn, {Text(&value)}});
  return model::Selector(*std::move(requirements));
}

}  // namespace sallyport::lab

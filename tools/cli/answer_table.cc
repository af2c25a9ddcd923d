// SPDX-License-Identifier: Apache-2.0
#include "cli/answer_table.h"

#include "cli/table.h"

namespace sallyport::cli {

namespace {

using model::Value;

// A terminal obeys control characters, those of Latin-1 too: they are shown as blanks.
std::string Shown(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    bool latin = byte == 0xc2 && next >= 0x80 && next < 0xa0;
    if (byte < 0x20 || byte == 0x7f) text[i] = ' ';
    if (latin) text.replace(i, 2, " ");
  }
  return text;
}

}  // namespace

std::string CellText(const Value* value) {
  if (value == nullptr) return "";
  switch (value->type) {
    case Value::Type::kNull:
      return "";
    case Value::Type::kBool:
      return value->boolean ? "yes" : "no";
    case Value::Type::kInteger:
    case Value::Type::kNumber:
    case Value::Type::kString:
      return Shown(value->text);
    case Value::Type::kSequence: {
      std::string out;
      for (const Value& item : value->items) out += (out.empty() ? "" : ", ") + CellText(&item);
      return out;
    }
    case Value::Type::kMapping: {
      std::string out;
      for (const auto& [key, member] : value->members) {
        out += (out.empty() ? "" : ", ") + Shown(key) + " " + CellText(&member);
      }
      return out;
    }
  }
  return "";
}

std::string CellText(const Value& value, std::string_view key) { return CellText(value.Find(key)); }

std::string CellText(const Value& value, std::string_view key, std::string_view member) {
  const Value* outer = value.Find(key);
  return outer == nullptr ? "" : CellText(outer->Find(member));
}

Column Plain(const char* heading, const char* key) {
  return {heading, [key](const Value& row) { return CellText(row, key); }};
}

Column Nested(const char* heading, const char* key, const char* member) {
  return {heading, [=](const Value& row) { return CellText(row, key, member); }};
}

std::string RenderAnswers(const Value& list, const std::vector<Column>& columns, const char* none,
                          const Terminal& terminal) {
  if (list.items.empty()) return std::string(none) + "\n";
  std::vector<std::string> headings;
  headings.reserve(columns.size());
  for (const Column& column : columns) headings.push_back(column.heading);
  std::vector<std::vector<std::string>> rows;
  for (const Value& item : list.items) {
    std::vector<std::string> cells;
    cells.reserve(columns.size());
    for (const Column& column : columns) cells.push_back(column.text(item));
    rows.push_back(std::move(cells));
  }
  return RenderList(headings, rows, terminal);
}

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
// Tables of what an agent answers: a row for each value of a sequence. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"
#include "model/document.h"

namespace sallyport::cli {

// A value in a cell: sequences and mappings in one line; "" of what is not there. Without control
// characters.
std::string CellText(const model::Value* value);
std::string CellText(const model::Value& value, std::string_view key);
std::string CellText(const model::Value& value, std::string_view key, std::string_view member);

struct Column {
  const char* heading;
  std::function<std::string(const model::Value&)> text;
};

Column Plain(const char* heading, const char* key);
Column Nested(const char* heading, const char* key, const char* member);

// `none` where the sequence is empty.
std::string RenderAnswers(const model::Value& list, const std::vector<Column>& columns,
                          const char* none, const Terminal& terminal);

}  // namespace sallyport::cli

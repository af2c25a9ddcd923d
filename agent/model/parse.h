// SPDX-License-Identifier: Apache-2.0
// The parsers behind document.h; internal to model/. Each takes the text between two "---" lines.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "model/document.h"
#include "model/tree_builder.h"

namespace sallyport::model {

struct Parsed {
  std::vector<Document> documents;
  std::vector<SyntaxError> repeats;  // keys given twice
  std::optional<SyntaxError> error;  // then `documents` are those before it
};

// One JSON object, or several one after the other. `first_line` is the line of text[0].
Parsed ParseJson(std::string_view text, int first_line);

// At most one YAML document.
Parsed ParseYaml(std::string_view text, int first_line);

}  // namespace sallyport::model

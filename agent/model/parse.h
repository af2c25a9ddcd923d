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

// The same for the YAML that people and kubectl write: block mappings and lists, scalars and flow
// collections on one line. An order of magnitude faster, and never wrong: what is outside this
// subset, or not valid, is nullopt, and ParseYaml's to judge.
std::optional<Parsed> ParsePlainYaml(std::string_view text, int first_line);

// Adds a YAML scalar, as a key where one comes next: the API server sees JSON, whose keys are
// strings.
bool AddYamlScalar(TreeBuilder& builder, Value value);

}  // namespace sallyport::model

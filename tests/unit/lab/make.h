// SPDX-License-Identifier: Apache-2.0
// Objects from text, for the lab's tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "lab/objects.h"

namespace sallyport::lab {

// Fails the test where the text has an error.
inline ObjectSet MakeObjects(const std::string& yaml) {
  model::ParsedText parsed = model::ParseText(yaml, "test.yaml");
  ObjectSet objects;
  model::Diagnostics diagnostics = parsed.diagnostics;
  AddDocuments(parsed.documents, "test.yaml", &objects, &diagnostics);
  for (const model::Diagnostic& diagnostic : diagnostics) ADD_FAILURE() << diagnostic.ToString();
  return objects;
}

inline Value MakeValue(const std::string& yaml) {
  model::ParsedText parsed = model::ParseText(yaml, "test.yaml");
  EXPECT_EQ(parsed.documents.size(), 1u) << yaml;
  return parsed.documents.empty() ? Value{} : parsed.documents.front();
}

}  // namespace sallyport::lab

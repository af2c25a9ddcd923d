// SPDX-License-Identifier: Apache-2.0
// What the parameters of a question to the local API mean. Pure. Errors are for a person.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/result.h"
#include "observe/views.h"

namespace sallyport::observe {

// Names and values, decoded; of a name that is given twice the first counts.
using Parameters = std::multimap<std::string, std::string>;

struct FlowsQuestion {
  size_t limit = 0;
  std::string endpoint;  // "": of all
};
Result<FlowsQuestion> ReadFlowsQuestion(const Parameters& parameters);
Result<ExplainQuestion> ReadExplainQuestion(const Parameters& parameters);
// Whether events are to be followed.
Result<bool> ReadFollow(const Parameters& parameters);

}  // namespace sallyport::observe

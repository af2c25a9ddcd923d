// SPDX-License-Identifier: Apache-2.0
// Which apiVersion and kind concern us, which do not, and which are mistakes. Internal to model/.
//
// A policy whose kind has a typo must not be skipped like a kind of somebody else's: it would
// silently stop being enforced.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/snapshot.h"

namespace sallyport::model {

struct Classified {
  enum class What { kObject, kList, kSkipped, kMistake };
  What what = What::kSkipped;
  // kObject: its kind. kList: the kind of items that do not say theirs, if the list is typed.
  std::optional<Kind> kind;
  std::string message;  // kMistake: what to write instead
};

Classified Classify(std::string_view api_version, std::string_view kind);

// Such as "networking.k8s.io/v1" for a NetworkPolicy.
std::string_view ApiVersionOf(Kind kind);

}  // namespace sallyport::model

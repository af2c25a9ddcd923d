// SPDX-License-Identifier: Apache-2.0
// Names as Kubernetes generates them, but without chance: the same inputs give the same names.
// Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace sallyport::lab {

// `length` characters of the alphabet that Kubernetes uses for generated names: it spells no words.
std::string Letters(std::string_view seed, size_t length);
// base (shortened where it must be) and five letters; another name than those taken, and taken now.
std::string GeneratedName(const std::string& base, const std::string& seed,
                          std::set<std::string>* taken);

}  // namespace sallyport::lab

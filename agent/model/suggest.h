// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the nearest of some known words.
#pragma once

#include <string_view>
#include <vector>

namespace sallyport::model {

// How many letters must be put in, left out, replaced, or swapped with their neighbour to make one
// word the other; capitals do not count.
size_t EditDistance(std::string_view a, std::string_view b);

// The known word that `word` is probably meant to be; "" if none is near.
std::string_view Nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace sallyport::model

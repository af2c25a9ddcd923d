// SPDX-License-Identifier: Apache-2.0
// Sorted lists of numbers: the sets that the compiler's indexes are made of. New numbers are the
// largest, so that inserting is appending nearly always.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sallyport::policy {

using Numbers = std::vector<uint32_t>;

inline void Insert(Numbers& list, uint32_t number) {
  auto it = list.empty() || list.back() < number
                ? list.end()
                : std::lower_bound(list.begin(), list.end(), number);
  if (it == list.end() || *it != number) list.insert(it, number);
}

inline void Erase(Numbers& list, uint32_t number) {
  auto it = std::lower_bound(list.begin(), list.end(), number);
  if (it != list.end() && *it == number) list.erase(it);
}

inline bool Has(const Numbers& list, uint32_t number) {
  return std::binary_search(list.begin(), list.end(), number);
}

inline void SortUnique(Numbers& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

}  // namespace sallyport::policy

// SPDX-License-Identifier: Apache-2.0
#include "state/store.h"

#include <utility>

namespace sallyport::state {

std::vector<model::Delta> Store::Apply(std::vector<model::Delta> deltas) {
  std::vector<model::Delta> changed;
  for (model::Delta& delta : deltas) {
    if (snapshot_.Apply(delta)) changed.push_back(std::move(delta));
  }
  return changed;
}

}  // namespace sallyport::state

// SPDX-License-Identifier: Apache-2.0
// Which pods may match this selector? Without asking them all.
//
// The other way round from SelectorIndex: pods under each of their labels. Labels that thousands of
// pods have lead to none of them: they separate too little to be worth their place.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "model/objects.h"

namespace sallyport::policy {

class PodIndex {
 public:
  // Requires that the pod stays where it is until it is removed.
  void Add(const model::Pod& pod);
  void Remove(const model::Pod& pod);

  // Pods of any namespace among which are all that match; nothing where that would be too many to
  // be of help.
  std::optional<std::vector<const model::Pod*>> Candidates(const model::Selector& selector) const;

 private:
  struct Bucket {
    size_t count = 0;
    std::vector<const model::Pod*> pods;  // empty once there were too many
  };

  // Hashes of labels: a collision costs a look at a pod.
  std::unordered_map<uint64_t, Bucket> buckets_;
};

}  // namespace sallyport::policy

// SPDX-License-Identifier: Apache-2.0
// Which of many selectors match these labels? Without asking them all.
//
// Each selector hangs under one requirement that must hold for it to match (its anchor: a value of
// a key, or the presence of a key), so labels meet only selectors that hang under one of them. Of
// the requirements that can serve, the one with the fewest selectors under it is taken: a label
// that everyone has separates nothing. Selectors without such a requirement are met by all labels.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/labels.h"

namespace sallyport::policy {

uint64_t HashSelector(const model::Selector& selector);

class SelectorIndex {
 public:
  // Requires that the number is not in the index, and that the selector outlives its stay in it.
  void Add(uint32_t id, const model::Selector& selector);
  // Requires that it was added.
  void Remove(uint32_t id);

  // Appends the numbers of the selectors that match, in no order, perhaps one twice.
  void Match(const model::Labels& labels, std::vector<uint32_t>& out) const;
  bool empty() const { return members_.empty(); }

 private:
  struct Candidate {
    uint32_t id;
    const model::Selector* selector;
  };
  using Bucket = std::vector<Candidate>;
  struct Member {
    const model::Selector* selector;
    int anchor;  // index of a requirement; -1: none can serve
  };

  // Buckets are found by hashes; a collision costs a look at a selector, which is asked anyway.
  static std::vector<uint64_t> AnchorKeys(const model::Requirement& requirement);
  int BestAnchor(const model::Selector& selector) const;
  static void Collect(const Bucket& bucket, const model::Labels& labels,
                      std::vector<uint32_t>& out);

  std::unordered_map<uint32_t, Member> members_;
  std::unordered_map<uint64_t, Bucket> buckets_;
  Bucket unanchored_;
};

}  // namespace sallyport::policy

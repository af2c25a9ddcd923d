// SPDX-License-Identifier: Apache-2.0
#include "policy/pod_index.h"

#include <algorithm>

#include "base/check.h"
#include "policy/hash.h"

namespace sallyport::policy {
namespace {

constexpr size_t kMostPods = 2048;

}  // namespace

void PodIndex::Add(const model::Pod& pod) {
  for (const auto& [key, value] : pod.labels.entries()) {
    Bucket& bucket = buckets_[HashLabel(key, value)];
    bool complete = bucket.pods.size() == bucket.count;
    ++bucket.count;
    if (!complete) continue;
    if (bucket.count <= kMostPods) {
      bucket.pods.push_back(&pod);
    } else {
      std::vector<const model::Pod*>().swap(bucket.pods);
    }
  }
}

void PodIndex::Remove(const model::Pod& pod) {
  for (const auto& [key, value] : pod.labels.entries()) {
    auto it = buckets_.find(HashLabel(key, value));
    CHECK(it != buckets_.end()) << pod.name.ToString();
    Bucket& bucket = it->second;
    if (--bucket.count == 0) {
      buckets_.erase(it);
      continue;
    }
    auto place = std::find(bucket.pods.begin(), bucket.pods.end(), &pod);
    if (place == bucket.pods.end()) continue;
    *place = bucket.pods.back();
    bucket.pods.pop_back();
  }
}

std::optional<std::vector<const model::Pod*>> PodIndex::Candidates(
    const model::Selector& selector) const {
  std::optional<std::vector<const model::Pod*>> best;
  for (const model::Requirement& requirement : selector.requirements()) {
    if (requirement.op != model::Operator::kIn) continue;
    std::vector<const model::Pod*> pods;
    bool complete = true;
    for (const std::string& value : requirement.values) {
      auto it = buckets_.find(HashLabel(requirement.key, value));
      if (it == buckets_.end()) continue;
      complete &= it->second.pods.size() == it->second.count;
      pods.insert(pods.end(), it->second.pods.begin(), it->second.pods.end());
    }
    if (complete && (!best || pods.size() < best->size())) best = std::move(pods);
  }
  return best;
}

}  // namespace sallyport::policy

// SPDX-License-Identifier: Apache-2.0
#include "policy/selector_index.h"

#include <algorithm>

#include "base/check.h"
#include "policy/hash.h"

namespace sallyport::policy {
namespace {

void Drop(auto& bucket, uint32_t id) {
  auto it = std::find_if(bucket.begin(), bucket.end(), [id](const auto& c) { return c.id == id; });
  CHECK(it != bucket.end()) << "selector " << id;
  *it = bucket.back();
  bucket.pop_back();
}

}  // namespace

uint64_t HashSelector(const model::Selector& selector) {
  return HashItems(selector.requirements(), [](const model::Requirement& r) {
    uint64_t values = HashItems(r.values, [](const std::string& v) { return HashText(v); });
    return Mix(Mix(HashText(r.key), static_cast<uint64_t>(r.op)), values);
  });
}

std::vector<uint64_t> SelectorIndex::AnchorKeys(const model::Requirement& requirement) {
  std::vector<uint64_t> out;
  switch (requirement.op) {
    case model::Operator::kIn:
      for (const std::string& value : requirement.values) {
        out.push_back(HashLabel(requirement.key, value));
      }
      std::sort(out.begin(), out.end());
      out.erase(std::unique(out.begin(), out.end()), out.end());
      break;
    case model::Operator::kExists:
      out.push_back(HashText(requirement.key));
      break;
    case model::Operator::kNotIn:
    case model::Operator::kDoesNotExist:
      break;  // hold where the key is absent: no label leads here
  }
  return out;
}

int SelectorIndex::BestAnchor(const model::Selector& selector) const {
  int best = -1;
  size_t best_load = 0;
  const std::vector<model::Requirement>& requirements = selector.requirements();
  for (size_t i = 0; i < requirements.size(); ++i) {
    if (requirements[i].op == model::Operator::kNotIn ||
        requirements[i].op == model::Operator::kDoesNotExist) {
      continue;
    }
    size_t load = 0;
    for (uint64_t key : AnchorKeys(requirements[i])) {
      auto it = buckets_.find(key);
      load += 1 + (it == buckets_.end() ? 0 : it->second.size());
    }
    if (best < 0 || load < best_load) {
      best = static_cast<int>(i);
      best_load = load;
    }
  }
  return best;
}

void SelectorIndex::Add(uint32_t id, const model::Selector& selector) {
  Member member{&selector, BestAnchor(selector)};
  CHECK(members_.emplace(id, member).second) << "selector " << id << " is in the index already";
  if (member.anchor < 0) {
    unanchored_.push_back({id, &selector});
    return;
  }
  auto anchor = static_cast<size_t>(member.anchor);
  for (uint64_t key : AnchorKeys(selector.requirements()[anchor])) {
    buckets_[key].push_back({id, &selector});
  }
}

void SelectorIndex::Remove(uint32_t id) {
  auto it = members_.find(id);
  CHECK(it != members_.end()) << "selector " << id << " is not in the index";
  Member member = it->second;
  members_.erase(it);
  if (member.anchor < 0) {
    Drop(unanchored_, id);
    return;
  }
  auto anchor = static_cast<size_t>(member.anchor);
  for (uint64_t key : AnchorKeys(member.selector->requirements()[anchor])) {
    auto bucket = buckets_.find(key);
    Drop(bucket->second, id);
    if (bucket->second.empty()) buckets_.erase(bucket);
  }
}

void SelectorIndex::Match(const model::Labels& labels, std::vector<uint32_t>& out) const {
  Collect(unanchored_, labels, out);
  if (buckets_.empty()) return;
  for (const auto& [key, value] : labels.entries()) {
    for (uint64_t hash : {HashText(key), HashLabel(key, value)}) {
      auto it = buckets_.find(hash);
      if (it != buckets_.end()) Collect(it->second, labels, out);
    }
  }
}

void SelectorIndex::Collect(const Bucket& bucket, const model::Labels& labels,
                            std::vector<uint32_t>& out) {
  for (const Candidate& candidate : bucket) {
    if (candidate.selector->Matches(labels)) out.push_back(candidate.id);
  }
}

}  // namespace sallyport::policy

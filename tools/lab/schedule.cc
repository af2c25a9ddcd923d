// SPDX-License-Identifier: Apache-2.0
#include "lab/schedule.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "lab/selector.h"

namespace sallyport::lab {
namespace {

using NamespaceLabels = std::map<std::string, model::Labels>;

// One term of podAffinity or podAntiAffinity.
struct Term {
  model::Selector pods;
  std::set<std::string> namespaces;
  std::string topology_key;
  int64_t weight = 0;  // preferred terms only
  bool anti = false;
  bool required = false;
};

struct Candidate {
  model::ObjectName name;
  model::Labels labels;
  std::vector<Term> terms;
  const SchedulingPod* pod = nullptr;
  std::optional<size_t> node;
};

std::set<std::string> TermNamespaces(const Value& term, const std::string& own,
                                     const NamespaceLabels& namespaces) {
  std::set<std::string> out;
  for (const std::string& name : Texts(term.Find("namespaces"))) out.insert(name);
  const Value* selector = term.Find("namespaceSelector");
  if (selector && selector->type == Value::Type::kMapping) {
    if (auto parsed = ParseSelector(selector))
      for (const auto& [name, labels] : namespaces)
        if (parsed->Matches(labels)) out.insert(name);
  } else if (out.empty()) {
    out.insert(own);
  }
  return out;
}

void AddTerm(const Value& tree, const std::string& ns, const NamespaceLabels& namespaces, Term term,
             std::vector<Term>* out) {
  auto selector = ParseSelector(tree.Find("labelSelector"));
  if (!selector) return;  // without a selector a term matches no pod
  term.pods = *std::move(selector);
  term.namespaces = TermNamespaces(tree, ns, namespaces);
  term.topology_key = TextAt(tree, {"topologyKey"});
  out->push_back(std::move(term));
}

std::vector<Term> TermsOf(const Value& pod, const NamespaceLabels& namespaces) {
  std::vector<Term> terms;
  std::string ns = NameOf(pod).ns;
  for (bool anti : {false, true}) {
    const Value* affinity = At(pod, {"spec", "affinity", anti ? "podAntiAffinity" : "podAffinity"});
    if (!affinity) continue;
    Term term;
    term.anti = anti;
    term.required = true;
    for (const Value& t : Items(affinity->Find("requiredDuringSchedulingIgnoredDuringExecution")))
      AddTerm(t, ns, namespaces, term, &terms);
    term.required = false;
    for (const Value& t :
         Items(affinity->Find("preferredDuringSchedulingIgnoredDuringExecution"))) {
      term.weight = IntegerAt(t, {"weight"}).value_or(1);
      if (const Value* inner = t.Find("podAffinityTerm"))
        AddTerm(*inner, ns, namespaces, term, &terms);
    }
  }
  return terms;
}

bool Matches(const Term& term, const Candidate& pod) {
  return term.namespaces.contains(pod.name.ns) && term.pods.Matches(pod.labels);
}

// A node selector term: its matchExpressions over the node's labels (matchFields: metadata.name).
bool NodeTermHolds(const Value& term, const SchedulingNode& node) {
  auto expressions = ParseRequirements(term.Find("matchExpressions"));
  auto fields = ParseRequirements(term.Find("matchFields"));
  if (!expressions || !fields || (expressions->empty() && fields->empty())) return false;
  model::Labels field_values({{"metadata.name", node.name}});
  return model::Selector(*expressions).Matches(node.labels) &&
         model::Selector(*fields).Matches(field_values);
}

// The API: no key with Exists is every taint; no effect is every effect; Equal is the default.
bool Covers(const Value& toleration, const Taint& taint) {
  std::string key = TextAt(toleration, {"key"});
  std::string effect = TextAt(toleration, {"effect"});
  bool exists = TextAt(toleration, {"operator"}) == "Exists";
  if (!effect.empty() && effect != taint.effect) return false;
  if (key.empty()) return exists;
  return key == taint.key && (exists || TextAt(toleration, {"value"}) == taint.value);
}

class Scheduler {
 public:
  Scheduler(const std::vector<SchedulingNode>& nodes, std::vector<Candidate> pods)
      : nodes_(nodes), pods_(std::move(pods)) {}

  Placement Run() {
    Placement placement;
    placement.nodes.resize(pods_.size());
    for (size_t index : Order()) {
      std::string why;
      pods_[index].node = Choose(pods_[index], &why);
      if (pods_[index].node)
        placement.nodes[index] = nodes_[*pods_[index].node].name;
      else
        placement.why[index] = why;
    }
    return placement;
  }

 private:
  // Pods whose place is known come first: the others must see them.
  std::vector<size_t> Order() const {
    std::vector<size_t> order(pods_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    auto rank = [this](size_t i) {
      if (!pods_[i].pod->node.empty()) return 0;
      return TextAt(*pods_[i].pod->tree, {"spec", "nodeName"}).empty() ? 2 : 1;
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return rank(a) < rank(b); });
    return order;
  }

  std::optional<size_t> Choose(const Candidate& pod, std::string* why) const {
    if (nodes_.empty()) {
      *why = "there is no node";
      return std::nullopt;
    }
    std::string fixed = pod.pod->node;
    if (fixed.empty()) fixed = TextAt(*pod.pod->tree, {"spec", "nodeName"});
    if (!fixed.empty()) {
      // nodeName goes past the scheduler: affinity is not asked.
      for (size_t i = 0; i < nodes_.size(); ++i)
        if (nodes_[i].name == fixed) return i;
      *why = "there is no node " + fixed;
      return std::nullopt;
    }
    std::optional<std::pair<std::tuple<int64_t, size_t, size_t>, size_t>> best;
    bool any_fits = false;
    bool any_open = false;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (!NodeFits(*pod.pod->tree, nodes_[i])) continue;
      any_fits = true;
      if (!Tolerates(*pod.pod->tree, nodes_[i])) continue;
      any_open = true;
      if (!RequiredTermsHold(pod, i)) continue;
      auto score = std::tuple(-Preference(pod, i), CountOn(i, &pod), CountOn(i, nullptr));
      if (!best || score < best->first) best = {score, i};
    }
    if (best) return best->second;
    *why = any_open   ? "on every node its affinity or anti-affinity to other pods forbids it"
           : any_fits ? "every node that would fit is not ready, cordoned, or has a taint that it "
                        "does not tolerate"
                      : "no node has the labels that its nodeSelector or nodeAffinity asks for";
    return std::nullopt;
  }

  bool SameTopology(size_t a, size_t b, const std::string& key) const {
    const std::string* left = nodes_[a].labels.Find(key);
    const std::string* right = nodes_[b].labels.Find(key);
    return left && right && *left == *right;
  }

  // Whether a placed pod that the term matches shares the node's topology.
  bool Found(const Term& term, size_t node, const Candidate* except) const {
    return std::any_of(pods_.begin(), pods_.end(), [&](const Candidate& other) {
      return &other != except && other.node && Matches(term, other) &&
             SameTopology(*other.node, node, term.topology_key);
    });
  }

  bool AnyMatch(const Term& term) const {
    return std::any_of(pods_.begin(), pods_.end(),
                       [&](const Candidate& other) { return other.node && Matches(term, other); });
  }

  bool RequiredTermsHold(const Candidate& pod, size_t node) const {
    for (const Term& term : pod.terms) {
      if (!term.required) continue;
      bool found = Found(term, node, &pod);
      if (term.anti && found) return false;
      // The first of a group that wants to be together may go anywhere.
      bool first = !AnyMatch(term) && Matches(term, pod);
      if (!term.anti && !found && !first) return false;
    }
    for (const Candidate& other : pods_) {
      if (!other.node || &other == &pod) continue;
      for (const Term& term : other.terms)
        if (term.required && term.anti && Matches(term, pod) &&
            SameTopology(*other.node, node, term.topology_key))
          return false;
    }
    return true;
  }

  int64_t Preference(const Candidate& pod, size_t node) const {
    int64_t score = 0;
    for (const Term& term : pod.terms)
      if (!term.required && Found(term, node, &pod))
        score += term.anti ? -term.weight : term.weight;
    return score;
  }

  // Pods on the node; with `like`, only those of its owner (or alone, of its namespace).
  size_t CountOn(size_t node, const Candidate* like) const {
    return static_cast<size_t>(
        std::count_if(pods_.begin(), pods_.end(), [&](const Candidate& other) {
          return other.node == node && (!like || (other.pod->owner == like->pod->owner &&
                                                  other.name.ns == like->name.ns));
        }));
  }

  const std::vector<SchedulingNode>& nodes_;
  std::vector<Candidate> pods_;
};

}  // namespace

bool NodeFits(const Value& pod, const SchedulingNode& node) {
  auto selector = SelectorOfMap(At(pod, {"spec", "nodeSelector"}));
  if (!selector || !selector->Matches(node.labels)) return false;
  const Value* required =
      At(pod, {"spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
               "nodeSelectorTerms"});
  if (!required) return true;
  return std::any_of(required->items.begin(), required->items.end(),
                     [&](const Value& term) { return NodeTermHolds(term, node); });
}

bool Tolerates(const Value& pod, const SchedulingNode& node) {
  const std::vector<Value>& tolerations = Items(At(pod, {"spec", "tolerations"}));
  return std::all_of(node.taints.begin(), node.taints.end(), [&](const Taint& taint) {
    return std::any_of(tolerations.begin(), tolerations.end(),
                       [&](const Value& toleration) { return Covers(toleration, taint); });
  });
}

SchedulingNode NodeForScheduling(const Value& node) {
  SchedulingNode out{NameOf(node).name, LabelsOf(node), {}};
  for (const Value& taint : Items(At(node, {"spec", "taints"}))) {
    std::string effect = TextAt(taint, {"effect"});
    if (effect == "NoSchedule" || effect == "NoExecute")
      out.taints.push_back({TextAt(taint, {"key"}), TextAt(taint, {"value"}), effect});
  }
  if (IsTrue(At(node, {"spec", "unschedulable"})))
    out.taints.push_back({kUnschedulableTaint, "", "NoSchedule"});
  return out;
}

Placement Schedule(const std::vector<SchedulingPod>& pods, const std::vector<SchedulingNode>& nodes,
                   const NamespaceLabels& namespaces) {
  std::vector<Candidate> candidates;
  candidates.reserve(pods.size());
  for (const SchedulingPod& pod : pods)
    candidates.push_back({NameOf(*pod.tree), LabelsOf(*pod.tree), TermsOf(*pod.tree, namespaces),
                          &pod, std::nullopt});
  return Scheduler(nodes, std::move(candidates)).Run();
}

}  // namespace sallyport::lab

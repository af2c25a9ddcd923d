// SPDX-License-Identifier: Apache-2.0
#include "watch/object_set.h"

#include <optional>
#include <utility>

#include "watch/object_decoder.h"

namespace sallyport::watch {
namespace {

using model::Kind;

template <typename T>
bool SameAs(const void* a, const void* b) {
  return *static_cast<const T*>(a) == *static_cast<const T*>(b);
}

bool Same(Kind kind, const void* a, const void* b) {
  switch (kind) {
    case Kind::kNamespace:
      return SameAs<model::Namespace>(a, b);
    case Kind::kNode:
      return SameAs<model::Node>(a, b);
    case Kind::kPod:
      return SameAs<model::Pod>(a, b);
    case Kind::kService:
      return SameAs<model::Service>(a, b);
    case Kind::kEndpointSlice:
      return SameAs<model::EndpointSlice>(a, b);
    case Kind::kNetworkPolicy:
      return SameAs<model::NetworkPolicy>(a, b);
    case Kind::kEgressGateway:
      return SameAs<model::EgressGateway>(a, b);
    default:
      return false;
  }
}

std::shared_ptr<const void> ObjectOf(const model::Delta& delta) {
  return std::visit(
      [](const auto& object) -> std::shared_ptr<const void> {
        if constexpr (std::is_convertible_v<decltype(object), std::shared_ptr<const void>>) {
          return object;
        } else {
          return nullptr;
        }
      },
      delta.object);
}

// What is in force for an object that was never understood; nullopt: nothing, which opens nothing.
std::optional<model::Delta> ClosedObject(Kind kind, const model::ObjectName& name,
                                         std::string_view object) {
  if (kind == Kind::kNetworkPolicy) return ClosedPolicy(name, object);
  if (kind == Kind::kEgressGateway) return ClosedGateway(name, object);
  return std::nullopt;
}

// Under which what has no name is reported.
const model::ObjectName kNameless;

}  // namespace

void ObjectSet::BeginList() {
  ++list_;
  unreadable_ = false;
}

void ObjectSet::Set(std::string_view object) {
  DecodedObject decoded = DecodeObject(kind_, object);
  if (decoded.delta) {
    TakeGood(std::move(*decoded.delta), std::move(decoded.warnings));
  } else {
    TakeBad(decoded.name, std::move(decoded.errors), object);
  }
}

void ObjectSet::TakeGood(model::Delta delta, model::Diagnostics warnings) {
  auto [it, added] = known_.try_emplace(delta.name);
  Known& known = it->second;
  known.seen = list_;
  known.stands_in = false;
  if (troubled_.erase(delta.name) > 0) changed_ = true;
  if (!warnings.empty()) {
    troubled_[delta.name] = std::move(warnings);
    changed_ = true;
  }
  std::shared_ptr<const void> object = ObjectOf(delta);
  if (known.object && Same(kind_, known.object.get(), object.get())) return;
  known.object = std::move(object);
  update_.deltas.push_back(std::move(delta));
  changed_ = true;
}

void ObjectSet::TakeBad(const model::ObjectName& name, model::Diagnostics errors,
                        std::string_view object) {
  changed_ = true;
  if (name.name.empty()) {
    unreadable_ = true;
    for (model::Diagnostic& error : errors) {
      error.message += "; nothing is removed before a list is understood";
    }
    troubled_[kNameless] = std::move(errors);
    return;
  }
  Known& known = known_[name];
  known.seen = list_;
  std::string meanwhile = "; what it was before stays in force";
  std::optional<model::Delta> closed;
  if (!known.object || known.stands_in) closed = ClosedObject(kind_, name, object);
  if (closed) {
    meanwhile = kind_ == Kind::kNetworkPolicy
                    ? "; until it is understood, it isolates the pods it selects and allows nothing"
                    : "; until it is understood, the pods it selects do not reach its destinations";
    known.object = ObjectOf(*closed);
    known.stands_in = true;
    update_.deltas.push_back(std::move(*closed));
  } else if (!known.object) {
    meanwhile = "; it counts as absent";
  }
  for (model::Diagnostic& error : errors) error.message += meanwhile;
  troubled_[name] = std::move(errors);
}

void ObjectSet::Forget(const model::ObjectName& name) {
  if (troubled_.erase(name) > 0) changed_ = true;
  auto it = known_.find(name);
  if (it == known_.end()) return;
  if (it->second.object) {
    update_.deltas.push_back(model::Delta::Remove(kind_, name));
    changed_ = true;
  }
  known_.erase(it);
}

void ObjectSet::Remove(std::string_view object) { Forget(ReadName(object)); }

void ObjectSet::EndList() {
  if (!std::exchange(update_.complete, true)) {
    changed_ = true;
    if (kind_ == Kind::kNamespace) {
      update_.deltas.push_back(model::Delta::Set(model::NamespacesListed{}));
    }
  }
  if (unreadable_) return;
  changed_ |= troubled_.erase(kNameless) > 0;
  std::vector<model::ObjectName> gone;
  for (const auto& [name, known] : known_) {
    if (known.seen != list_) gone.push_back(name);
  }
  for (const model::ObjectName& name : gone) Forget(name);
}

void ObjectSet::Flush() {
  if (!std::exchange(changed_, false)) return;
  ObjectUpdate update;
  update.deltas = std::exchange(update_.deltas, {});
  update.complete = update_.complete;
  for (const auto& [name, errors] : troubled_) {
    update.standing.insert(update.standing.end(), errors.begin(), errors.end());
  }
  emit_(std::move(update));
}

}  // namespace sallyport::watch

// SPDX-License-Identifier: Apache-2.0
// Who may do what: bearer tokens and role-based access control.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/request.h"
#include "apiserver/store.h"

namespace sallyport::apiserver {

// Tokens of service accounts are JSON web tokens (HS256); the administrator's is kept as it is.
class Tokens {
 public:
  Tokens(const Store& store, Clock& clock, std::string secret, std::string admin_token)
      : store_(store),
        clock_(clock),
        secret_(std::move(secret)),
        admin_token_(std::move(admin_token)) {}

  // nullopt for a token that is forged, over, or whose account (or pod) is gone.
  std::optional<User> Authenticate(const std::string& token) const;

  // `bound`: kind, name and uid of a Pod or Secret that the token ends with; may be null.
  std::string Issue(const StoredPtr& account, int64_t expires_at,
                    const std::vector<std::string>& audiences, const Value* bound) const;

 private:
  const Store& store_;
  Clock& clock_;
  const std::string secret_;
  const std::string admin_token_;
};

// What somebody wants to do: attributes of a request, as RBAC sees it.
struct Action {
  std::string verb;
  std::string group;
  std::string resource;  // "" for a path
  std::string subresource;
  std::string ns;
  std::string name;
  std::string path;
};

class Authorizer {
 public:
  explicit Authorizer(const Store& store) : store_(store) {}

  bool Allows(const User& user, const Action& action) const;
  // The rules that apply to the user in a namespace: PolicyRule trees.
  std::vector<Value> RulesFor(const User& user, const std::string& ns) const;

 private:
  struct Binding {
    std::string ns;  // "" of the cluster
    Value subjects;
    std::vector<Value> rules;
  };
  std::shared_ptr<const std::vector<Binding>> Bindings() const;

  const Store& store_;
  mutable std::mutex mutex_;
  mutable std::vector<uint64_t> seen_;
  mutable std::shared_ptr<const std::vector<Binding>> bindings_;
};

// `User "x" cannot list resource "pods" in API group "" in the namespace "y"`
std::string Refusal(const User& user, const Action& action);

}  // namespace sallyport::apiserver

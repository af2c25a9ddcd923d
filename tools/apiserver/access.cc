// SPDX-License-Identifier: Apache-2.0
#include "apiserver/access.h"

#include <algorithm>

#include "apiserver/certificates.h"
#include "apiserver/encoding.h"

namespace sallyport::apiserver {
namespace {

constexpr const char* kIssuer = "https://kubernetes.default.svc.cluster.local";
constexpr const char* kRbacGroup = ".rbac.authorization.k8s.io";

int64_t Seconds(Clock& clock) { return std::chrono::system_clock::to_time_t(clock.WallNow()); }

bool Has(const Value* list, std::string_view text) {
  for (const Value& item : Items(list))
    if (item.text == text || item.text == "*") return true;
  return false;
}

bool HasExactly(const Value* list, std::string_view text) {
  for (const Value& item : Items(list))
    if (item.text == text) return true;
  return false;
}

bool HasResource(const Value* list, const Action& action) {
  std::string full =
      action.subresource.empty() ? action.resource : action.resource + "/" + action.subresource;
  for (const Value& item : Items(list)) {
    if (item.text == "*" || item.text == full) return true;
    if (!action.subresource.empty() && item.text == "*/" + action.subresource) return true;
  }
  return false;
}

bool HasPath(const Value* list, const std::string& path) {
  for (const Value& item : Items(list)) {
    const std::string& rule = item.text;
    if (rule == "*" || rule == path) return true;
    if (rule.ends_with("*") && path.starts_with(rule.substr(0, rule.size() - 1))) return true;
  }
  return false;
}

bool Covers(const Value& rule, const Action& action) {
  if (!Has(rule.Find("verbs"), action.verb)) return false;
  if (action.resource.empty()) return HasPath(rule.Find("nonResourceURLs"), action.path);
  if (!Has(rule.Find("apiGroups"), action.group)) return false;
  if (!HasResource(rule.Find("resources"), action)) return false;
  const Value* names = rule.Find("resourceNames");
  return Items(names).empty() || HasExactly(names, action.name);
}

bool IsSubject(const Value& subjects, const User& user, const std::string& binding_ns) {
  for (const Value& subject : subjects.items) {
    std::string kind = TextAt(subject, {"kind"});
    std::string name = TextAt(subject, {"name"});
    if (kind == "User" && name == user.name) return true;
    if (kind == "Group" &&
        std::find(user.groups.begin(), user.groups.end(), name) != user.groups.end())
      return true;
    if (kind != "ServiceAccount") continue;
    std::string ns = TextAt(subject, {"namespace"});
    if (ns.empty()) ns = binding_ns;
    if (user.name == "system:serviceaccount:" + ns + ":" + name) return true;
  }
  return false;
}

// Time of comparison does not depend on where the texts differ.
bool SameSecret(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

std::string Tokens::Issue(const StoredPtr& account, int64_t expires_at,
                          const std::vector<std::string>& audiences, const Value* bound) const {
  Value audience = Sequence();
  for (const std::string& one : audiences) audience.items.push_back(String(one));
  if (audience.items.empty()) audience.items.push_back(String(kIssuer));
  Value about =
      Mapping({{"namespace", String(account->ns)},
               {"serviceaccount",
                Mapping({{"name", String(account->name)}, {"uid", String(account->uid)}})}});
  if (bound) {
    std::string key = TextAt(*bound, {"kind"}) == "Secret" ? "secret" : "pod";
    Set(about, key,
        Mapping({{"name", String(TextAt(*bound, {"name"}))},
                 {"uid", String(TextAt(*bound, {"uid"}))}}));
  }
  Value claims =
      Mapping({{"aud", std::move(audience)},
               {"exp", Integer(expires_at)},
               {"iat", Integer(Seconds(clock_))},
               {"nbf", Integer(Seconds(clock_))},
               {"iss", String(kIssuer)},
               {"jti", String(RandomUuid())},
               {"kubernetes.io", std::move(about)},
               {"sub", String("system:serviceaccount:" + account->ns + ":" + account->name)}});
  std::string text =
      EncodeBase64Url(R"({"alg":"HS256","typ":"JWT"})") + "." + EncodeBase64Url(ToJson(claims));
  return text + "." + EncodeBase64Url(HmacSha256(secret_, text));
}

std::optional<User> Tokens::Authenticate(const std::string& token) const {
  if (SameSecret(token, admin_token_))
    return User{"kubernetes-admin", "", {"system:masters", "system:authenticated"}};
  size_t dot = token.rfind('.');
  size_t first = token.find('.');
  if (dot == token.npos || first == dot) return std::nullopt;
  std::string text = token.substr(0, dot);
  if (!SameSecret(EncodeBase64Url(HmacSha256(secret_, text)), token.substr(dot + 1)))
    return std::nullopt;
  auto json = DecodeBase64Url(text.substr(first + 1));
  if (!json) return std::nullopt;
  Value claims = ParseJsonText(*json);
  if (IntegerAt(claims, {"exp"}).value_or(0) <= Seconds(clock_)) return std::nullopt;
  const Value* about = claims.Find("kubernetes.io");
  if (!about) return std::nullopt;
  std::string ns = TextAt(*about, {"namespace"});
  std::string name = TextAt(*about, {"serviceaccount", "name"});
  StoredPtr account = store_.Get("serviceaccounts", ns, name);
  if (!account || account->uid != TextAt(*about, {"serviceaccount", "uid"})) return std::nullopt;
  for (auto [key, resource] : {std::pair{"pod", "pods"}, std::pair{"secret", "secrets"}}) {
    const Value* bound = about->Find(key);
    if (!bound) continue;
    StoredPtr object = store_.Get(resource, ns, TextAt(*bound, {"name"}));
    if (!object || object->uid != TextAt(*bound, {"uid"})) return std::nullopt;
  }
  return User{"system:serviceaccount:" + ns + ":" + name,
              account->uid,
              {"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"}};
}

std::shared_ptr<const std::vector<Authorizer::Binding>> Authorizer::Bindings() const {
  std::vector<uint64_t> now;
  for (const char* plural : {"roles", "clusterroles", "rolebindings", "clusterrolebindings"})
    now.push_back(store_.version(std::string(plural) + kRbacGroup));
  std::lock_guard lock(mutex_);
  if (bindings_ && now == seen_) return bindings_;
  auto made = std::make_shared<std::vector<Binding>>();
  for (const char* plural : {"rolebindings", "clusterrolebindings"}) {
    for (const StoredPtr& stored : store_.List(std::string(plural) + kRbacGroup, {}).objects) {
      Value binding = ParseJsonText(stored->json);
      bool cluster = TextAt(binding, {"roleRef", "kind"}) == "ClusterRole";
      StoredPtr role = store_.Get(std::string(cluster ? "clusterroles" : "roles") + kRbacGroup,
                                  cluster ? "" : stored->ns, TextAt(binding, {"roleRef", "name"}));
      if (!role) continue;
      Value rules = ParseJsonText(role->json);
      const Value* subjects = binding.Find("subjects");
      made->push_back({stored->ns, subjects ? *subjects : Sequence(), Items(rules.Find("rules"))});
    }
  }
  seen_ = std::move(now);
  bindings_ = std::move(made);
  return bindings_;
}

bool Authorizer::Allows(const User& user, const Action& action) const {
  if (std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end())
    return true;
  auto bindings = Bindings();
  return std::any_of(bindings->begin(), bindings->end(), [&](const Binding& binding) {
    if (!binding.ns.empty() && (binding.ns != action.ns || action.resource.empty())) return false;
    if (!IsSubject(binding.subjects, user, binding.ns)) return false;
    return std::any_of(binding.rules.begin(), binding.rules.end(),
                       [&](const Value& rule) { return Covers(rule, action); });
  });
}

std::vector<Value> Authorizer::RulesFor(const User& user, const std::string& ns) const {
  std::vector<Value> out;
  if (std::find(user.groups.begin(), user.groups.end(), "system:masters") != user.groups.end()) {
    out.push_back(ParseJsonText(R"({"verbs":["*"],"apiGroups":["*"],"resources":["*"]})"));
    out.push_back(ParseJsonText(R"({"verbs":["*"],"nonResourceURLs":["*"]})"));
    return out;
  }
  auto bindings = Bindings();
  for (const Binding& binding : *bindings) {
    if (!binding.ns.empty() && binding.ns != ns) continue;
    if (IsSubject(binding.subjects, user, binding.ns))
      out.insert(out.end(), binding.rules.begin(), binding.rules.end());
  }
  return out;
}

std::string Refusal(const User& user, const Action& action) {
  std::string who = "User " + Quote(user.name) + " cannot " + action.verb + " ";
  if (action.resource.empty()) return who + "path " + Quote(action.path);
  std::string what = action.resource;
  if (!action.subresource.empty()) what += "/" + action.subresource;
  return who + "resource " + Quote(what) + " in API group " + Quote(action.group) +
         (action.ns.empty() ? " at the cluster scope" : " in the namespace " + Quote(action.ns));
}

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
#include "lab/api.h"

#include <signal.h>

#include <utility>

namespace sallyport::lab {
namespace {

constexpr int kTokenSeconds = 24 * 3600;

// The Status object of a refusal, or whatever the server wrote.
std::string MessageOf(const kube::Response& response) {
  auto tree = FromJson(response.body, "answer");
  std::string message = tree ? TextAt(*tree, {"message"}) : "";
  if (message.empty()) message = response.body.substr(0, 200);
  return message.empty() ? "HTTP status " + std::to_string(response.status) : message;
}

bool IsStatus(const Value& tree) { return TextAt(tree, {"kind"}) == "Status"; }

}  // namespace

Result<std::unique_ptr<Api>> Api::Open(const std::string& kubeconfig) {
  // A server that goes away is an answer, not an end.
  signal(SIGPIPE, SIG_IGN);
  auto access = kube::ReadKubeconfig(kubeconfig);
  if (!access) return std::move(access).error();
  kube::Client::Options options;
  options.read_timeout = std::chrono::seconds(10);
  auto client = kube::Client::Create(*std::move(access), options);
  if (!client) return std::move(client).error();
  return std::unique_ptr<Api>(new Api(*std::move(client)));
}

Result<Value> Api::Send(kube::Request request) {
  std::string what = request.method + " " + request.path;
  auto response = client_->Send(request);
  if (!response) return std::move(response).error();
  if (!response->ok()) return Error{MessageOf(*response), response->status};
  auto tree = FromJson(response->body, what);
  if (!tree) return std::move(tree).error().Context(client_->access().Url());
  return tree;
}

Result<Value> Api::Get(const std::string& path) { return Send({"GET", path}); }

Result<std::vector<Value>> Api::List(const KindInfo& kind) {
  auto list = Get(CollectionPath(kind, ""));
  if (!list) return std::move(list).error();
  std::vector<Value> out = Items(list->Find("items"));
  for (Value& item : out) {
    Set(item, "apiVersion", String(kind.api_version));
    Set(item, "kind", String(kind.kind));
  }
  return out;
}

Result<Value> Api::Create(const std::string& collection, const Value& object) {
  return Send({"POST", collection, ToJson(object)});
}

Result<Value> Api::Replace(const std::string& path, const Value& object) {
  return Send({"PUT", path, ToJson(object)});
}

Result<Value> Api::Patch(const std::string& path, const Value& patch, bool strategic) {
  return Send(
      {"PATCH", path, ToJson(patch),
       strategic ? "application/strategic-merge-patch+json" : "application/merge-patch+json"});
}

Result<std::optional<Value>> Api::Delete(const std::string& path, const std::string& uid,
                                         std::optional<int> grace) {
  Value options = Mapping({{"apiVersion", String("v1")},
                           {"kind", String("DeleteOptions")},
                           {"propagationPolicy", String("Background")}});
  if (grace) Set(options, "gracePeriodSeconds", Integer(*grace));
  if (!uid.empty()) Set(options, "preconditions", Mapping({{"uid", String(uid)}}));
  auto done = Send({"DELETE", path, ToJson(options)});
  if (!done && done.error().code == kNotFound) return std::optional<Value>();
  // Another object has that name by now.
  if (!done && done.error().code == kConflict && !uid.empty()) return std::optional<Value>();
  if (!done) return std::move(done).error();
  if (IsStatus(*done) || !IsTerminating(*done)) return std::optional<Value>();
  return std::optional<Value>(*std::move(done));
}

Result<std::optional<Value>> Api::Carry(const Change& change) {
  const KindInfo* kind = FindKind(change.kind);
  CHECK(kind) << "a change of kind " << change.kind;
  std::string path = ObjectPath(*kind, change.name);
  std::string collection = CollectionPath(*kind, change.name.ns);
  Result<Value> done = Value();
  switch (change.verb) {
    case Change::Verb::kCreate:
      done = Create(collection, change.object);
      break;
    case Change::Verb::kReplace:
      done = Replace(path, change.object);
      break;
    case Change::Verb::kPatch:
      done = Patch(path, change.object);
      break;
    case Change::Verb::kPatchStatus:
      done = Patch(path + "/status", change.object);
      break;
    case Change::Verb::kDelete:
      return Delete(path, change.uid, std::nullopt);
    case Change::Verb::kForget:
      return Delete(path, change.uid, 0);
    case Change::Verb::kBind:
      done = Create(path + "/binding", change.object);
      break;
  }
  if (!done) return std::move(done).error();
  if (IsStatus(*done)) return std::optional<Value>();
  return std::optional<Value>(*std::move(done));
}

Result<std::string> Api::Token(const model::ObjectName& account, const Value* pod) {
  Value spec = Mapping({{"expirationSeconds", Integer(kTokenSeconds)}});
  if (pod)
    Set(spec, "boundObjectRef",
        Mapping({{"apiVersion", String("v1")},
                 {"kind", String("Pod")},
                 {"name", String(NameOf(*pod).name)},
                 {"uid", String(UidOf(*pod))}}));
  Value request = Mapping({{"apiVersion", String("authentication.k8s.io/v1")},
                           {"kind", String("TokenRequest")},
                           {"spec", std::move(spec)}});
  std::string path = ObjectPath(*FindKind("ServiceAccount"), account) + "/token";
  auto made = Create(path, request);
  if (!made) return std::move(made).error();
  std::string token = TextAt(*made, {"status", "token"});
  if (token.empty()) return Error{"no token for ServiceAccount " + account.ToString(), 0};
  return token;
}

Result<KindInfo> Api::Resolve(const std::string& api_version, const std::string& kind) {
  std::lock_guard lock(mutex_);
  auto find = [&]() -> std::optional<KindInfo> {
    for (const KindInfo& info : discovered_[api_version])
      if (info.kind == kind) return info;
    return std::nullopt;
  };
  if (auto known = find()) return *known;
  bool core = api_version.find('/') == std::string::npos;
  auto list = Get((core ? "/api/" : "/apis/") + api_version);
  Error unknown{"the API server has no kind " + kind + " in " + api_version, kNotFound};
  if (!list) return list.error().code == kNotFound ? unknown : std::move(list).error();
  std::vector<KindInfo>& kinds = discovered_[api_version];
  kinds.clear();
  for (const Value& item : Items(list->Find("resources"))) {
    std::string plural = TextAt(item, {"name"});
    if (plural.find('/') != std::string::npos) continue;
    kinds.push_back({TextAt(item, {"kind"}), api_version, plural, IsTrue(item.Find("namespaced"))});
  }
  if (auto known = find()) return *known;
  return unknown;
}

}  // namespace sallyport::lab

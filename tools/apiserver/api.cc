// SPDX-License-Identifier: Apache-2.0
#include "apiserver/api.h"

#include <algorithm>
#include <exception>

#include "apiserver/discovery.h"
#include "apiserver/forms.h"
#include "base/log.h"

namespace sallyport::apiserver {
namespace {

constexpr const char* kVersionJson =
    R"({"major":"1","minor":"30","gitVersion":"v1.30.0+sallyport-lab","gitCommit":"","gitTreeState":"clean","buildDate":"1970-01-01T00:00:00Z","goVersion":"","compiler":"","platform":"linux/amd64"})";

std::vector<std::string> Split(const std::string& path) {
  std::vector<std::string> out;
  for (size_t at = 0; at < path.size();) {
    size_t end = std::min(path.find('/', at), path.size());
    if (end > at) out.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

Response Plain(std::string text, int code = 200) {
  Response out = JsonResponse(std::move(text), code);
  out.content_type = "text/plain; charset=utf-8";
  return out;
}

Response StatusResponse(const Failure& failure) {
  Response out = JsonResponse(failure.ToJson() + "\n", failure.code);
  out.retry_after = failure.retry_after;
  return out;
}

struct ObjectPath {
  std::string group;
  std::string version;
  std::string ns;
  std::string plural;
  std::string name;
  std::string subresource;
};

// /api/VERSION/... or /apis/GROUP/VERSION/..., then [namespaces/NS/]PLURAL[/NAME[/SUB]].
std::optional<ObjectPath> ParsePath(const std::string& path) {
  std::vector<std::string> parts = Split(path);
  ObjectPath out;
  size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    out.version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    out.group = parts[1];
    out.version = parts[2];
    at = 3;
  } else {
    return std::nullopt;
  }
  std::vector<std::string> rest(parts.begin() + static_cast<std::ptrdiff_t>(at), parts.end());
  // The namespace itself, its status and its finalizers are objects of the cluster.
  bool in_namespace =
      rest.size() >= 3 && rest[0] == "namespaces" && rest[2] != "status" && rest[2] != "finalize";
  if (in_namespace) {
    out.ns = rest[1];
    rest.erase(rest.begin(), rest.begin() + 2);
  }
  if (rest.empty() || rest.size() > 3) return std::nullopt;
  out.plural = rest[0];
  if (rest.size() > 1) out.name = rest[1];
  if (rest.size() > 2) out.subresource = rest[2];
  return out;
}

bool IsWatch(const Request& request) {
  std::string watch = request.Query("watch");
  return watch == "true" || watch == "1";
}

std::string VerbOf(const Target& target, const Request& request) {
  if (request.method == "GET") {
    if (IsWatch(request)) return "watch";
    return target.name.empty() ? "list" : "get";
  }
  if (request.method == "POST") return "create";
  if (request.method == "PUT") return "update";
  if (request.method == "PATCH") return "patch";
  return target.name.empty() ? "deletecollection" : "delete";
}

Action ActionOf(const Target& target, const Request& request) {
  return {.verb = VerbOf(target, request),
          .group = target.kind->group,
          .resource = target.kind->plural,
          .subresource = target.subresource,
          .ns = target.kind->StoreKey() == "namespaces" ? target.name : target.ns,
          .name = target.name,
          .path = ""};
}

}  // namespace

Api::Api(Store& store, ApiOptions options, Clock& clock)
    : store_(store),
      clock_(clock),
      options_(std::move(options)),
      addresses_(options_.service_cidrs),
      tokens_(store, clock, options_.token_secret, options_.admin_token),
      authorizer_(store),
      reader_(store, options_.reader, clock),
      writer_(store, kinds_, addresses_, clock),
      collector_(store, kinds_, writer_) {}

Response Api::Handle(const Request& request) {
  try {
    return Route(request);
  } catch (const Failure& failure) {
    return StatusResponse(failure);
  } catch (const std::exception& error) {
    LogError(request.method + " " + request.path + ": " + error.what());
    return StatusResponse({.code = 500,
                           .reason = "InternalError",
                           .message = std::string("Internal error occurred: ") + error.what()});
  }
}

void Api::Authorize(const Target& target, const Request& request) const {
  Action action = ActionOf(target, request);
  if (authorizer_.Allows(request.user, action)) return;
  throw Forbidden(target.kind->Resource(), target.name, Refusal(request.user, action));
}

void Api::AuthorizePath(const Request& request) const {
  Action action{.verb = request.method == "GET"    ? "get"
                        : request.method == "POST" ? "post"
                                                   : "put",
                .group = "",
                .resource = "",
                .subresource = "",
                .ns = "",
                .name = "",
                .path = request.path};
  if (authorizer_.Allows(request.user, action)) return;
  throw Forbidden({}, "", Refusal(request.user, action));
}

Response Api::Route(const Request& request) {
  if (auto path = ParsePath(request.path)) {
    bool review =
        (path->group == "authorization.k8s.io" || path->group == "authentication.k8s.io") &&
        path->version == "v1" && path->name.empty();
    if (review && request.method == "POST") return Review(path->plural, request);
    KindPtr kind = kinds_.Find(path->group, path->version, path->plural);
    Target target{kind, path->ns, path->name, path->subresource};
    if (!kind) {
      // Who may not ask does not learn what there is.
      auto unknown = std::make_shared<Kind>();
      unknown->group = path->group;
      unknown->plural = path->plural;
      target.kind = unknown;
      Authorize(target, request);
      throw NoSuchPath();
    }
    Authorize(target, request);
    if (kind->namespaced != !target.ns.empty() &&
        !(kind->namespaced && target.name.empty() && request.method == "GET"))
      throw NoSuchPath();
    return Objects(target, request);
  }
  AuthorizePath(request);
  if (request.method != "GET") throw MethodNotAllowed();
  std::string top = Split(request.path).empty() ? "" : Split(request.path)[0];
  if (top == "healthz" || top == "livez" || top == "readyz") return Plain("ok");
  if (request.path == "/version" || request.path == "/version/") return JsonResponse(kVersionJson);
  if (auto found = Discover(kinds_, request)) return *found;
  if (auto found = OpenApi(kinds_, request)) return *found;
  if (request.path == "/")
    return JsonResponse(
        R"({"paths":["/api","/api/v1","/apis","/healthz","/livez","/openapi/v2","/openapi/v3","/readyz","/version"]})");
  throw NoSuchPath();
}

Response Api::Written(const Target& target, const Request& request,
                      const Writer::Written& written) {
  int code = written.created ? 201 : 200;
  Response out = written.status_only ? JsonResponse(written.json + "\n", code)
                                     : reader_.Show(target, request, written.json, code);
  out.warnings = written.warnings;
  return out;
}

Response Api::Remove(const Target& target, const Request& request) {
  DeleteOptions options = DeleteOptionsOf(request);
  if (!target.name.empty()) return Written(target, request, writer_.Delete(target, options));
  if (target.kind->StoreKey() == "namespaces") throw MethodNotAllowed();
  model::Selector labels = ParseLabelSelector(request.Query("labelSelector"));
  auto fields = ParseFieldSelector(request.Query("fieldSelector"), target.kind->StoreKey());
  Store::ListRequest asked;
  asked.ns = target.ns;
  asked.filter = [&](const Stored& object) {
    return labels.Matches(object.labels) && Match(fields, object.fields);
  };
  Store::Listing listing = store_.List(target.kind->StoreKey(), asked);
  writer_.DeleteCollection(target, listing.objects, options);
  std::string items;
  for (const StoredPtr& object : listing.objects)
    items += (items.empty() ? "" : ",") + object->json;
  return JsonResponse("{\"kind\":\"" + target.kind->kind + "List\",\"apiVersion\":\"" +
                      target.kind->ApiVersion() + "\",\"metadata\":{\"resourceVersion\":\"" +
                      std::to_string(store_.version()) + "\"},\"items\":[" + items + "]}\n");
}

Response Api::Objects(const Target& target, const Request& request) {
  if (!target.subresource.empty()) return Subresource(target, request);
  if (request.method == "GET") {
    if (IsWatch(request)) return reader_.Watch(target, request);
    return target.name.empty() ? reader_.List(target, request) : reader_.Get(target, request);
  }
  if (request.method == "POST" && target.name.empty())
    return Written(target, request, writer_.Create(target, request));
  if (request.method == "DELETE") return Remove(target, request);
  if (target.name.empty()) throw MethodNotAllowed();
  if (request.method == "PUT") return Written(target, request, writer_.Update(target, request));
  if (request.method == "PATCH") return Written(target, request, writer_.Patch(target, request));
  throw MethodNotAllowed();
}

Response Api::Subresource(const Target& target, const Request& request) {
  const Kind& kind = *target.kind;
  std::string key = kind.StoreKey();
  if (target.subresource == "log" || target.subresource == "exec" ||
      target.subresource == "attach" || target.subresource == "portforward")
    throw Failure{.code = 501,
                  .reason = "NotImplemented",
                  .message = "the lab's API server does not serve pods/" + target.subresource +
                             "; use `sallyport lab exec` and the files that `sallyport lab status` "
                             "names"};
  if (key == "serviceaccounts" && target.subresource == "token" && request.method == "POST")
    return Token(target, request);
  if (key == "pods" && target.subresource == "binding" && request.method == "POST")
    return Bind(target, request);
  if (key == "pods" && target.subresource == "eviction" && request.method == "POST") {
    Target pod = target;
    pod.subresource = "";
    Request inner = request;
    Value body = ParseJsonText(request.body);
    const Value* options = body.Find("deleteOptions");
    inner.body = options ? ToJson(*options) : "";
    (void)writer_.Delete(pod, DeleteOptionsOf(inner));
    return JsonResponse(
        R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})", 201);
  }
  bool finalize = key == "namespaces" && target.subresource == "finalize";
  bool known = (target.subresource == "status" && kind.status) ||
               (target.subresource == "scale" && kind.scale) || finalize;
  if (!known) throw NoSuchPath();
  if (request.method == "GET" && target.subresource == "scale") {
    StoredPtr object = store_.Get(key, target.ns, target.name);
    if (!object) throw NotFound(kind.Resource(), target.name);
    return JsonResponse(ScaleJson(kind, ParseJsonText(object->json)) + "\n");
  }
  if (request.method == "GET") return reader_.Get(target, request);
  if (request.method != "PUT" && request.method != "PATCH") throw MethodNotAllowed();
  Writer::Written written =
      request.method == "PUT" ? writer_.Update(target, request) : writer_.Patch(target, request);
  if (target.subresource == "scale") return JsonResponse(written.json + "\n");
  return Written(target, request, written);
}

Response Api::Token(const Target& target, const Request& request) {
  StoredPtr account = store_.Get("serviceaccounts", target.ns, target.name);
  if (!account) throw NotFound(target.kind->Resource(), target.name);
  Value body = request.body.empty() ? Mapping() : ParseJsonText(request.body);
  Value& spec = Child(body, "spec");
  int64_t life = IntegerAt(spec, {"expirationSeconds"}).value_or(3600);
  if (life < 600)
    throw Invalid("authentication.k8s.io", "TokenRequest", target.name,
                  {BadValue("spec.expirationSeconds", Integer(life),
                            "may not specify a duration less than 10 minutes")});
  const Value* bound = spec.Find("boundObjectRef");
  Value reference = IsMapping(bound) ? *bound : Mapping();
  if (IsMapping(bound)) {
    std::string resource = TextAt(reference, {"kind"}) == "Secret" ? "secrets" : "pods";
    StoredPtr object = store_.Get(resource, target.ns, TextAt(reference, {"name"}));
    if (!object) throw NotFound({resource, ""}, TextAt(reference, {"name"}));
    Default(reference, "uid", String(object->uid));
  }
  WallTime end = clock_.WallNow() + std::chrono::seconds(life);
  std::string token =
      tokens_.Issue(account, std::chrono::system_clock::to_time_t(end),
                    Texts(spec.Find("audiences")), IsMapping(bound) ? &reference : nullptr);
  Set(spec, "expirationSeconds", Integer(life));
  Set(body, "kind", String("TokenRequest"));
  Set(body, "apiVersion", String("authentication.k8s.io/v1"));
  Set(body, "metadata", Mapping({{"name", String(target.name)}, {"namespace", String(target.ns)}}));
  Set(body, "status",
      Mapping({{"token", String(token)}, {"expirationTimestamp", String(TimeText(end))}}));
  return JsonResponse(ToJson(body) + "\n", 201);
}

Response Api::Bind(const Target& target, const Request& request) {
  StoredPtr pod = store_.Get("pods", target.ns, target.name);
  if (!pod) throw NotFound(target.kind->Resource(), target.name);
  std::string node = TextAt(ParseJsonText(request.body), {"target", "name"});
  if (node.empty()) throw Invalid("", "Binding", target.name, {Required("target.name")});
  bool taken = false;
  writer_.Change("pods", pod, [&](Value& tree) {
    Value& spec = Child(tree, "spec");
    taken = !TextAt(spec, {"nodeName"}).empty();
    if (taken) return false;
    Set(spec, "nodeName", String(node));
    Value& status = Child(tree, "status");
    Value* conditions = Find(status, "conditions");
    if (!IsSequence(conditions)) conditions = &Set(status, "conditions", Sequence());
    std::erase_if(conditions->items,
                  [](const Value& one) { return TextAt(one, {"type"}) == "PodScheduled"; });
    conditions->items.push_back(
        Mapping({{"type", String("PodScheduled")},
                 {"status", String("True")},
                 {"lastProbeTime", Value()},
                 {"lastTransitionTime", String(TimeText(clock_.WallNow()))}}));
    return true;
  });
  if (taken)
    throw Conflict(target.kind->Resource(), target.name,
                   "pod " + target.name + " is already assigned to a node");
  return JsonResponse(
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201})", 201);
}

Response Api::Review(const std::string& plural, const Request& request) {
  Value body = ParseJsonText(request.body);
  if (body.type != Value::Type::kMapping) throw BadRequest("an object is expected");
  Default(body, "metadata", Mapping());
  Value& spec = Child(body, "spec");
  if (plural == "selfsubjectreviews") {
    Set(body, "status",
        Mapping({{"userInfo", Mapping({{"username", String(request.user.name)},
                                       {"uid", String(request.user.uid)},
                                       {"groups", lab::Strings(request.user.groups)}})}}));
    Erase(body, "spec");
    return JsonResponse(ToJson(body) + "\n", 201);
  }
  bool self = plural == "selfsubjectaccessreviews" || plural == "selfsubjectrulesreviews";
  if (!self) {
    Action action{
        .verb = "create",
        .group = plural == "tokenreviews" ? "authentication.k8s.io" : "authorization.k8s.io",
        .resource = plural,
        .subresource = "",
        .ns = "",
        .name = "",
        .path = ""};
    if (!authorizer_.Allows(request.user, action))
      throw Forbidden({plural, action.group}, "", Refusal(request.user, action));
  }
  User user = request.user;
  if (!self) user = {TextAt(spec, {"user"}), "", Texts(spec.Find("groups"))};
  if (plural == "selfsubjectaccessreviews" || plural == "subjectaccessreviews" ||
      plural == "localsubjectaccessreviews") {
    Action action{.verb = TextAt(spec, {"resourceAttributes", "verb"}),
                  .group = TextAt(spec, {"resourceAttributes", "group"}),
                  .resource = TextAt(spec, {"resourceAttributes", "resource"}),
                  .subresource = TextAt(spec, {"resourceAttributes", "subresource"}),
                  .ns = TextAt(spec, {"resourceAttributes", "namespace"}),
                  .name = TextAt(spec, {"resourceAttributes", "name"}),
                  .path = TextAt(spec, {"nonResourceAttributes", "path"})};
    if (action.resource.empty()) action.verb = TextAt(spec, {"nonResourceAttributes", "verb"});
    Set(body, "status", Mapping({{"allowed", Boolean(authorizer_.Allows(user, action))}}));
  } else if (plural == "selfsubjectrulesreviews") {
    Value resources = Sequence();
    Value paths = Sequence();
    for (Value& rule : authorizer_.RulesFor(user, TextAt(spec, {"namespace"})))
      (rule.Find("nonResourceURLs") ? paths : resources).items.push_back(std::move(rule));
    Set(body, "status",
        Mapping({{"resourceRules", std::move(resources)},
                 {"nonResourceRules", std::move(paths)},
                 {"incomplete", Boolean(false)}}));
  } else if (plural == "tokenreviews") {
    auto found = tokens_.Authenticate(TextAt(spec, {"token"}));
    Value status = Mapping({{"authenticated", Boolean(found.has_value())}});
    if (found)
      Set(status, "user",
          Mapping({{"username", String(found->name)},
                   {"uid", String(found->uid)},
                   {"groups", lab::Strings(found->groups)}}));
    Set(body, "status", std::move(status));
  } else {
    throw NoSuchPath();
  }
  return JsonResponse(ToJson(body) + "\n", 201);
}

Result<std::string> Api::TokenFor(const std::string& ns, const std::string& name) {
  try {
    writer_.Ensure("namespaces", Mapping({{"metadata", Mapping({{"name", String(ns)}})}}));
    writer_.Ensure(
        "serviceaccounts",
        Mapping({{"metadata", Mapping({{"name", String(name)}, {"namespace", String(ns)}})}}));
  } catch (const Failure& failure) {
    return Error{failure.message};
  }
  StoredPtr account = store_.Get("serviceaccounts", ns, name);
  if (!account) return Error{"the ServiceAccount " + ns + "/" + name + " went again"};
  WallTime end = clock_.WallNow() + std::chrono::hours(24 * 365);
  return tokens_.Issue(account, std::chrono::system_clock::to_time_t(end), {}, nullptr);
}

}  // namespace sallyport::apiserver

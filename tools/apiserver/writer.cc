// SPDX-License-Identifier: Apache-2.0
#include "apiserver/writer.h"

#include <algorithm>
#include <utility>

#include "apiserver/custom.h"
#include "apiserver/defaults.h"
#include "apiserver/encoding.h"
#include "apiserver/finalizers.h"
#include "apiserver/forms.h"
#include "apiserver/patch.h"
#include "apiserver/schema.h"
#include "apiserver/validate.h"

namespace sallyport::apiserver {
namespace {

// Kinds that can be created with a status.
bool KeepsStatusAtCreation(const Kind& kind) { return kind.StoreKey() == "nodes" || !kind.status; }

// kind, apiVersion and metadata come first, as the API server writes them.
Value InOrder(const Kind& kind, Value object) {
  Value metadata = Mapping();
  if (Value* given = Find(object, "metadata"); IsMapping(given)) metadata = std::move(*given);
  Value out =
      Mapping({{"kind", String(kind.kind)},
               {"apiVersion", String(kind.group.empty() ? kind.storage_version
                                                        : kind.group + "/" + kind.storage_version)},
               {"metadata", std::move(metadata)}});
  for (Value::Member& member : object.members) {
    if (member.first == "kind" || member.first == "apiVersion" || member.first == "metadata")
      continue;
    out.members.push_back(std::move(member));
  }
  return out;
}

// Everything but metadata and status.
bool SameSpec(const Value& a, const Value& b) {
  Value left = a;
  Value right = b;
  for (Value* one : {&left, &right})
    for (const char* key : {"metadata", "status", "apiVersion", "kind"}) Erase(*one, key);
  return SameContent(left, right);
}

Failure OtherUid(const Target& target, const std::string& wanted, const std::string& is) {
  return Conflict(target.kind->Resource(), target.name,
                  "StorageError: invalid object, Code: 4, Precondition failed: UID in "
                  "precondition: " +
                      wanted + ", UID in object meta: " + is);
}

void TakeMember(Value& object, std::string_view key, const Value& from) {
  if (const Value* value = from.Find(key)) {
    Set(object, key, *value);
  } else {
    Erase(object, key);
  }
}

}  // namespace

bool HasGeneration(const Kind& kind) {
  static const std::set<std::string> kinds = {"deployments.apps",
                                              "daemonsets.apps",
                                              "statefulsets.apps",
                                              "replicasets.apps",
                                              "replicationcontrollers",
                                              "jobs.batch",
                                              "cronjobs.batch",
                                              "networkpolicies.networking.k8s.io",
                                              "ingresses.networking.k8s.io",
                                              "ingressclasses.networking.k8s.io",
                                              "poddisruptionbudgets.policy",
                                              "endpointslices.discovery.k8s.io",
                                              "customresourcedefinitions.apiextensions.k8s.io"};
  return kind.custom || kinds.count(kind.StoreKey()) > 0;
}

Writer::Writer(Store& store, Kinds& kinds, ServiceAddresses& addresses, Clock& clock)
    : store_(store), kinds_(kinds), addresses_(addresses), clock_(clock) {
  for (const StoredPtr& service : store_.List("services", {}).objects)
    addresses_.Take(ParseJsonText(service->json));
  for (const StoredPtr& definition :
       store_.List("customresourcedefinitions.apiextensions.k8s.io", {}).objects)
    kinds_.Define(ParseJsonText(definition->json));
}

Writer::Options Writer::OptionsOf(const Request& request) {
  Options out;
  std::string dry_run = request.Query("dryRun");
  if (!dry_run.empty() && dry_run != "All")
    throw Invalid("meta.k8s.io", "CreateOptions", "", {Unsupported("dryRun", dry_run, {"All"})});
  out.dry_run = dry_run == "All";
  out.validation = request.Query("fieldValidation");
  if (out.validation.empty()) out.validation = "Warn";
  if (out.validation != "Ignore" && out.validation != "Warn" && out.validation != "Strict")
    throw Invalid(
        "meta.k8s.io", "CreateOptions", "",
        {Unsupported("fieldValidation", out.validation, {"", "Ignore", "Strict", "Warn"})});
  return out;
}

StoredPtr Writer::Commit(const std::string& store_key, Value object) {
  if (store_key == "services") addresses_.Take(object);
  if (store_key == "customresourcedefinitions.apiextensions.k8s.io") kinds_.Define(object);
  auto stored = store_.Put(store_key, std::move(object));
  if (!stored)
    throw Failure{.code = 500, .reason = "InternalError", .message = stored.error().message};
  if (listener_) listener_({store_key, *stored, false});
  return *stored;
}

StoredPtr Writer::CommitRemoval(const std::string& store_key, const StoredPtr& object) {
  auto gone = store_.Remove(store_key, object->ns, object->name);
  if (!gone) throw Failure{.code = 500, .reason = "InternalError", .message = gone.error().message};
  if (store_key == "services") addresses_.Release(ParseJsonText((*gone)->json));
  if (store_key == "customresourcedefinitions.apiextensions.k8s.io") kinds_.Undefine(object->name);
  if (listener_) listener_({store_key, *gone, true});
  return *gone;
}

StoredPtr Writer::Existing(const Target& target) const {
  StoredPtr stored = store_.Get(target.kind->StoreKey(), target.ns, target.name);
  if (!stored) throw NotFound(target.kind->Resource(), target.name);
  return stored;
}

void Writer::DecodeFields(const Kind& kind, Value& object, const Options& options,
                          std::vector<std::string>* warnings) const {
  Decoded decoded =
      kind.custom ? DecodeCustom(kind, object) : DecodeAs(*FindType(kind.kind), object);
  std::string what = kind.kind + " in version " + Quote(kind.version) + " cannot be handled as a " +
                     kind.kind + ": ";
  if (!decoded.wrong_type.empty()) throw BadRequest(what + decoded.wrong_type);
  if (options.validation == "Strict" && !decoded.unknown.empty()) {
    std::string all;
    for (const std::string& one : decoded.unknown) all += (all.empty() ? "" : ", ") + one;
    throw BadRequest(what + "strict decoding error: " + all);
  }
  if (options.validation == "Warn")
    warnings->insert(warnings->end(), decoded.unknown.begin(), decoded.unknown.end());
}

Value Writer::Decode(const Target& target, std::string_view text, const Options& options,
                     std::vector<std::string>* warnings) const {
  const Kind& kind = *target.kind;
  Value object = ParseJsonText(text);
  if (object.type != Value::Type::kMapping) throw BadRequest("an object is expected");
  std::string name = TextAt(object, {"kind"});
  std::string version = TextAt(object, {"apiVersion"});
  if (!name.empty() && name != kind.kind)
    throw BadRequest(name + " in version " + Quote(version) + " cannot be handled as a " +
                     kind.kind + ": converting (" + name + ") to (" + kind.kind +
                     "): unknown conversion");
  if (!version.empty() && version != kind.ApiVersion())
    throw BadRequest("the API version in the data (" + version +
                     ") does not match the expected API version (" + kind.ApiVersion() + ")");
  DecodeFields(kind, object, options, warnings);
  return InOrder(kind, std::move(object));
}

void Writer::CheckNamespace(const Target& target) const {
  if (!target.kind->namespaced) return;
  StoredPtr ns = store_.Get("namespaces", "", target.ns);
  if (!ns) throw NotFound({"namespaces", ""}, target.ns);
  if (!ns->deleting) return;
  Failure failure = Forbidden(
      target.kind->Resource(), target.name,
      "unable to create new content in namespace " + target.ns + " because it is being terminated");
  failure.causes.push_back({"NamespaceTerminating",
                            "namespace " + target.ns + " is being terminated",
                            "metadata.namespace"});
  throw failure;
}

void Writer::PrepareNew(const Target& target, Value& object) const {
  const Kind& kind = *target.kind;
  Value& metadata = Child(object, "metadata");
  for (const char* key :
       {"resourceVersion", "selfLink", "deletionTimestamp", "uid", "deletionGracePeriodSeconds",
        "generation", "creationTimestamp", "managedFields"})
    Erase(metadata, key);
  std::string prefix = TextAt(metadata, {"generateName"});
  if (TextAt(metadata, {"name"}).empty() && !prefix.empty())
    Set(metadata, "name", String(prefix.substr(0, 58) + RandomSuffix()));
  if (kind.namespaced) {
    Set(metadata, "namespace", String(target.ns));
  } else {
    Erase(metadata, "namespace");
  }
  Set(metadata, "uid", String(RandomUuid()));
  Set(metadata, "creationTimestamp", String(TimeText(clock_.WallNow())));
  if (HasGeneration(kind)) Set(metadata, "generation", Integer(1));
  if (!KeepsStatusAtCreation(kind)) Erase(object, "status");
  std::string key = kind.StoreKey();
  if (key == "namespaces") {
    Set(Child(object, "spec"), "finalizers", Sequence({String("kubernetes")}));
    Set(object, "status", Mapping({{"phase", String("Active")}}));
  }
  if (key == "pods")
    Set(object, "status",
        Mapping({{"phase", String("Pending")}, {"qosClass", String("BestEffort")}}));
}

void Writer::FillAndValidate(const Target& target, Value& object, const Value* old) const {
  const Kind& kind = *target.kind;
  if (kind.StoreKey() == "namespaces") {
    Value& labels = Child(Child(object, "metadata"), "labels");
    Set(labels, model::kNamespaceNameLabel, String(TextAt(object, {"metadata", "name"})));
  }
  std::vector<Cause> causes;
  if (kind.custom) {
    causes = FillAndValidateCustom(kind, object, old);
  } else {
    ApplyDefaults(kind, object);
    causes = Validate(kind, object, old);
    if (kind.StoreKey() == "services" && causes.empty()) causes = addresses_.Fill(object, old);
  }
  if (causes.empty()) return;
  throw Invalid(kind.group, kind.kind, TextAt(object, {"metadata", "name"}), std::move(causes));
}

Writer::Written Writer::CreateLocked(const Target& target, Value object, const Options& options,
                                     std::vector<std::string> warnings) {
  const Kind& kind = *target.kind;
  std::string given = TextAt(object, {"metadata", "namespace"});
  if (kind.namespaced && !given.empty() && given != target.ns)
    throw BadRequest(
        "the namespace of the provided object does not match the namespace sent on "
        "the request");
  Target named = target;
  named.name = TextAt(object, {"metadata", "name"});
  CheckNamespace(named);
  PrepareNew(target, object);
  FillAndValidate(target, object, nullptr);
  named.name = TextAt(object, {"metadata", "name"});
  if (store_.Get(kind.StoreKey(), target.ns, named.name))
    throw AlreadyExists(kind.Resource(), named.name);
  if (kind.kind == "CustomResourceDefinition" && !kind.custom) {
    // Its objects go first (collector.h).
    AddFinalizer(object, "customresourcecleanup.apiextensions.k8s.io");
    EstablishDefinition(object, TimeText(clock_.WallNow()));
  }
  Written out{.json = "", .created = true, .warnings = std::move(warnings)};
  out.json = options.dry_run ? ToJson(object) : Commit(kind.StoreKey(), std::move(object))->json;
  return out;
}

Writer::Written Writer::Create(const Target& target, const Request& request) {
  Options options = OptionsOf(request);
  std::vector<std::string> warnings;
  Value object = Decode(target, request.body, options, &warnings);
  std::lock_guard lock(mutex_);
  return CreateLocked(target, std::move(object), options, std::move(warnings));
}

void Writer::PrepareChanged(const Target& target, Value& object, const Value& old) const {
  const Kind& kind = *target.kind;
  bool status = target.subresource == "status";
  if (status) {
    // Only the status is taken; labels and annotations too where the kubelet sets them with it.
    Value whole = old;
    TakeMember(whole, "status", object);
    if (kind.StoreKey() == "nodes" || kind.StoreKey() == "pods") {
      for (const char* key : {"labels", "annotations"})
        if (const Value* value = At(object, {"metadata", key}))
          Set(Child(whole, "metadata"), key, *value);
    }
    object = std::move(whole);
    return;
  }
  Value& metadata = Child(object, "metadata");
  const Value& before = *old.Find("metadata");
  for (const char* key :
       {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
        "namespace", "name", "generateName", "resourceVersion"})
    TakeMember(metadata, key, before);
  Erase(metadata, "managedFields");
  Erase(metadata, "selfLink");
  if (kind.status) TakeMember(object, "status", old);
  if (kind.StoreKey() == "namespaces" && target.subresource != "finalize")
    TakeMember(object, "spec", old);
}

Writer::Written Writer::Replace(const Target& target, Value object, const StoredPtr& stored,
                                const Options& options, std::vector<std::string> warnings) {
  const Kind& kind = *target.kind;
  Value old = ParseJsonText(stored->json);
  std::string name = TextAt(object, {"metadata", "name"});
  if (name != target.name)
    throw BadRequest("the name of the object (" + name + ") does not match the name on the URL (" +
                     target.name + ")");
  std::string ns = TextAt(object, {"metadata", "namespace"});
  if (!ns.empty() && ns != target.ns)
    throw BadRequest("the namespace of the object (" + ns +
                     ") does not match the namespace on the URL (" + target.ns + ")");
  std::string uid = TextAt(object, {"metadata", "uid"});
  if (!uid.empty() && uid != stored->uid) throw OtherUid(target, uid, stored->uid);
  std::string version = TextAt(object, {"metadata", "resourceVersion"});
  if (version.empty() && (kind.custom || kind.StoreKey() == "leases.coordination.k8s.io"))
    throw Invalid(
        kind.group, kind.kind, name,
        {BadValue("metadata.resourceVersion", Integer(0), "must be specified for an update")});
  if (!version.empty() && version != "0" && version != std::to_string(stored->version))
    throw Stale(kind.Resource(), name);
  PrepareChanged(target, object, old);
  FillAndValidate(target, object, &old);
  object = InOrder(kind, std::move(object));
  if (HasGeneration(kind) && target.subresource != "status" && !SameSpec(object, old))
    Set(Child(object, "metadata"), "generation",
        Integer(IntegerAt(old, {"metadata", "generation"}).value_or(0) + 1));
  Written out{.json = stored->json, .warnings = std::move(warnings)};
  if (SameContent(object, old)) return out;
  if (options.dry_run) {
    out.json = ToJson(object);
    return out;
  }
  bool over = !IsNull(At(object, {"metadata", "deletionTimestamp"})) && !HasFinalizers(object) &&
              IntegerAt(object, {"metadata", "deletionGracePeriodSeconds"}).value_or(0) == 0;
  StoredPtr written = Commit(kind.StoreKey(), std::move(object));
  if (over) CommitRemoval(kind.StoreKey(), written);
  out.json = written->json;
  return out;
}

Writer::Written Writer::Update(const Target& target, const Request& request) {
  Options options = OptionsOf(request);
  std::vector<std::string> warnings;
  std::lock_guard lock(mutex_);
  if (target.subresource == "scale") {
    StoredPtr stored = Existing(target);
    return ScaleTo(target, ParseJsonText(request.body), stored, options);
  }
  Value object = Decode(target, request.body, options, &warnings);
  StoredPtr stored = store_.Get(target.kind->StoreKey(), target.ns, target.name);
  // Kinds that may be created by an update.
  std::string key = target.kind->StoreKey();
  if (!stored && (key == "endpoints" || key == "leases.coordination.k8s.io" || key == "events" ||
                  key == "endpointslices.discovery.k8s.io")) {
    // Who names an object that was does not mean a new one.
    if (std::string uid = TextAt(object, {"metadata", "uid"}); !uid.empty())
      throw OtherUid(target, uid, "");
    return CreateLocked(target, std::move(object), options, std::move(warnings));
  }
  stored = Existing(target);
  return Replace(target, std::move(object), stored, options, std::move(warnings));
}

Writer::Written Writer::Patch(const Target& target, const Request& request) {
  Options options = OptionsOf(request);
  std::string type = request.content_type.substr(0, request.content_type.find(';'));
  if (type == "application/apply-patch+yaml")
    throw UnsupportedMediaType(
        "server-side apply is not served here: the body of the request was in an unknown format - "
        "accepted media types include: application/json-patch+json, application/merge-patch+json, "
        "application/strategic-merge-patch+json; use `kubectl apply` without --server-side");
  bool json_patch = type == "application/json-patch+json";
  bool strategic = type == "application/strategic-merge-patch+json";
  if ((!json_patch && !strategic && type != "application/merge-patch+json") ||
      (strategic && target.kind->custom))
    throw UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json" +
        std::string(target.kind->custom ? "" : ", application/strategic-merge-patch+json"));
  Value patch = ParseJsonText(request.body);
  if (!json_patch && patch.type != Value::Type::kMapping)
    throw BadRequest("a patch of this type is an object");
  std::lock_guard lock(mutex_);
  StoredPtr stored = Existing(target);
  bool scale = target.subresource == "scale";
  Value object = ParseJsonText(stored->json);
  if (scale) object = ParseJsonText(ScaleJson(*target.kind, object));
  Set(object, "apiVersion", String(scale ? "autoscaling/v1" : target.kind->ApiVersion()));
  Value before = object;
  if (json_patch) {
    ApplyJsonPatch(object, patch);
  } else if (strategic) {
    ApplyStrategicPatch(object, patch, scale ? nullptr : FindType(target.kind->kind));
  } else {
    ApplyMergePatch(object, patch);
  }
  if (scale) return ScaleTo(target, object, stored, options);
  std::vector<std::string> warnings;
  if (object.type != Value::Type::kMapping || TextAt(object, {"kind"}) != target.kind->kind)
    throw BadRequest("the patch makes something else of the object");
  // A patch that names a version is a conditional one; else this one's is as good as any.
  const Value* version = At(patch, {"metadata", "resourceVersion"});
  if (IsNull(version)) Erase(Child(object, "metadata"), "resourceVersion");
  if (IsNull(version))
    Set(Child(object, "metadata"), "resourceVersion", String(std::to_string(stored->version)));
  if (options.validation == "Strict") {
    try {
      DecodeFields(*target.kind, object, options, &warnings);
    } catch (const Failure& failure) {
      size_t strict = failure.message.find("strict decoding error");
      if (strict == failure.message.npos) throw;
      throw Invalid("", "", "", {BadValue("patch", request.body, failure.message.substr(strict))});
    }
  } else {
    DecodeFields(*target.kind, object, options, &warnings);
  }
  return Replace(target, std::move(object), stored, options, std::move(warnings));
}

Writer::Written Writer::ScaleTo(const Target& target, const Value& scale, const StoredPtr& stored,
                                const Options& options) {
  const Kind& kind = *target.kind;
  auto replicas = IntegerAt(scale, {"spec", "replicas"}).value_or(0);
  if (replicas < 0)
    throw Invalid(
        "autoscaling", "Scale", target.name,
        {BadValue("spec.replicas", Integer(replicas), "must be greater than or equal to 0")});
  std::string version = TextAt(scale, {"metadata", "resourceVersion"});
  if (!version.empty() && version != std::to_string(stored->version))
    throw Stale(kind.Resource(), target.name);
  Value object = ParseJsonText(stored->json);
  (void)ScaleJson(kind, object);  // throws where there is no such subresource
  SetReplicas(kind, object, replicas);
  Target whole = target;
  whole.subresource = "";
  Set(object, "apiVersion", String(kind.ApiVersion()));
  Written out = Replace(whole, std::move(object), stored, options, {});
  out.json = ScaleJson(kind, ParseJsonText(out.json));
  return out;
}

void Writer::Change(const std::string& store_key, const StoredPtr& object,
                    const std::function<bool(Value&)>& change) {
  std::lock_guard lock(mutex_);
  StoredPtr current = store_.Get(store_key, object->ns, object->name);
  if (!current || current->uid != object->uid) return;
  Value tree = ParseJsonText(current->json);
  if (!change(tree)) return;
  bool over = current->deleting && !HasFinalizers(tree) &&
              IntegerAt(tree, {"metadata", "deletionGracePeriodSeconds"}).value_or(0) == 0;
  StoredPtr written = Commit(store_key, std::move(tree));
  if (over) CommitRemoval(store_key, written);
}

void Writer::Ensure(const std::string& store_key, Value object) {
  KindPtr kind = kinds_.FindStored(store_key);
  Target target{kind, TextAt(object, {"metadata", "namespace"}),
                TextAt(object, {"metadata", "name"}), ""};
  std::lock_guard lock(mutex_);
  if (store_.Get(store_key, target.ns, target.name)) return;
  CreateLocked(target, InOrder(*kind, std::move(object)), {false, "Ignore"}, {});
}

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
// The OpenAPI documents, as far as kubectl reads them: which operations take dryRun and
// fieldValidation (both versions), and the schemas that `kubectl explain` prints (version 3).
// Strategic merge patches are not announced, so that kubectl takes the merge keys that it was
// compiled with.
#include <functional>

#include "apiserver/discovery.h"
#include "apiserver/schema.h"

namespace sallyport::apiserver {
namespace {

// With a dot where clients ask with an @, which Go's parser of media types does not take.
constexpr const char* kProtobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

Value GvkTree(const Kind& kind) {
  return Mapping({{"group", String(kind.group)},
                  {"version", String(kind.version)},
                  {"kind", String(kind.kind)}});
}

std::string PathOf(const Kind& kind) {
  std::string path =
      kind.group.empty() ? "/api/" + kind.version : "/apis/" + kind.group + "/" + kind.version;
  if (kind.namespaced) path += "/namespaces/{namespace}";
  return path + "/" + kind.plural + "/{name}";
}

Value QueryParameter(const char* name) {
  return Mapping(
      {{"name", String(name)},
       {"in", String("query")},
       {"schema", Mapping({{"type", String("string")}, {"uniqueItems", Boolean(true)}})}});
}

// ---- version 3

std::string SchemaName(const Kind& kind) {
  std::string group = kind.group.empty() ? "core" : kind.group;
  return "lab." + group + "." + kind.version + "." + kind.kind;
}

Value Reference(const std::string& name) {
  return Mapping({{"$ref", String("#/components/schemas/" + name)}});
}

Value ScalarSchema(const std::string& type) {
  Value out = Mapping();
  if (type == "int") return Mapping({{"type", String("integer")}});
  if (type == "bool") return Mapping({{"type", String("boolean")}});
  if (type == "number") return Mapping({{"type", String("number")}});
  if (type == "any") return Mapping({{"type", String("object")}});
  out = Mapping({{"type", String("string")}});
  if (type == "time") Set(out, "format", String("date-time"));
  if (type == "intstr") Set(out, "format", String("int-or-string"));
  return out;
}

Value FieldSchema(const Field& field) {
  Value one = field.type ? Reference("lab." + field.type_name) : ScalarSchema(field.type_name);
  if (field.shape == Field::Shape::kList)
    return Mapping({{"type", String("array")}, {"items", std::move(one)}});
  if (field.shape == Field::Shape::kMap)
    return Mapping({{"type", String("object")}, {"additionalProperties", std::move(one)}});
  return one;
}

Value TypeSchema(const Type& type) {
  Value properties = Mapping();
  Value required = Sequence();
  for (const Field& field : type.fields) {
    properties.members.emplace_back(field.name, FieldSchema(field));
    if (field.required) required.items.push_back(String(field.name));
  }
  Value out = Mapping({{"type", String("object")}, {"properties", std::move(properties)}});
  if (!required.items.empty()) Set(out, "required", std::move(required));
  return out;
}

// The type and all that it refers to.
void AddTypes(const Type& type, Value* schemas) {
  std::string name = "lab." + type.name;
  if (schemas->Find(name)) return;
  schemas->members.emplace_back(name, TypeSchema(type));
  for (const Field& field : type.fields)
    if (field.type) AddTypes(*field.type, schemas);
}

Value CustomSchema(const Kind& kind, Value* schemas) {
  AddTypes(*FindType("ObjectMeta"), schemas);
  Value out = *kind.custom->schema;
  Value properties = Mapping({{"apiVersion", ScalarSchema("string")},
                              {"kind", ScalarSchema("string")},
                              {"metadata", Reference("lab.ObjectMeta")}});
  for (const auto& [key, value] : Members(out.Find("properties")))
    if (!properties.Find(key)) properties.members.emplace_back(key, value);
  Set(out, "properties", std::move(properties));
  return out;
}

void AddKind(const Kind& kind, Value* paths, Value* schemas) {
  Value schema;
  if (kind.custom) {
    schema = CustomSchema(kind, schemas);
  } else {
    const Type& type = *FindType(kind.kind);
    for (const Field& field : type.fields)
      if (field.type) AddTypes(*field.type, schemas);
    schema = TypeSchema(type);
  }
  Set(schema, "x-kubernetes-group-version-kind", Sequence({GvkTree(kind)}));
  Value response = Mapping(
      {{"200",
        Mapping({{"description", String("OK")},
                 {"content", Mapping({{"application/json",
                                       Mapping({{"schema", Reference(SchemaName(kind))}})}})}})}});
  schemas->members.emplace_back(SchemaName(kind), std::move(schema));
  auto operation = [&](const char* action, Value parameters) {
    return Mapping({{"operationId", String(std::string(action) + kind.kind)},
                    {"parameters", std::move(parameters)},
                    {"responses", response},
                    {"x-kubernetes-action", String(action)},
                    {"x-kubernetes-group-version-kind", GvkTree(kind)}});
  };
  Value changing = Sequence({QueryParameter("dryRun"), QueryParameter("fieldManager"),
                             QueryParameter("fieldValidation")});
  paths->members.emplace_back(PathOf(kind), Mapping({{"get", operation("get", Sequence())},
                                                     {"put", operation("put", changing)},
                                                     {"patch", operation("patch", changing)}}));
}

std::string VersionPath(const Kind& kind) {
  return kind.group.empty() ? "api/" + kind.version : "apis/" + kind.group + "/" + kind.version;
}

Response VersionThree(const Kinds& kinds, const std::string& version_path) {
  Value paths = Mapping();
  Value schemas = Mapping();
  for (const KindPtr& kind : kinds.All())
    if (VersionPath(*kind) == version_path) AddKind(*kind, &paths, &schemas);
  return JsonResponse(ToJson(
      Mapping({{"openapi", String("3.0.0")},
               {"info", Mapping({{"title", String("Kubernetes")}, {"version", String("v1.30.0")}})},
               {"paths", std::move(paths)},
               {"components", Mapping({{"schemas", std::move(schemas)}})}})));
}

Response VersionThreeIndex(const Kinds& kinds) {
  Value paths = Mapping();
  for (const KindPtr& kind : kinds.All()) {
    std::string path = VersionPath(*kind);
    if (paths.Find(path)) continue;
    paths.members.emplace_back(path,
                               Mapping({{"serverRelativeURL", String("/openapi/v3/" + path)}}));
  }
  return JsonResponse(ToJson(Mapping({{"paths", std::move(paths)}})));
}

// ---- version 2: a document without definitions, in JSON or as gnostic's openapi.v2.Document.

Value OldOperation(const Kind& kind) {
  Value parameters = Sequence();
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation"})
    parameters.items.push_back(Mapping({{"name", String(name)},
                                        {"in", String("query")},
                                        {"type", String("string")},
                                        {"uniqueItems", Boolean(true)}}));
  return Mapping({{"parameters", std::move(parameters)},
                  {"responses", Mapping({{"200", Mapping({{"description", String("OK")}})}})},
                  {"x-kubernetes-action", String("patch")},
                  {"x-kubernetes-group-version-kind", GvkTree(kind)}});
}

Response VersionTwoJson(const Kinds& kinds) {
  Value paths = Mapping();
  for (const KindPtr& kind : kinds.All())
    paths.members.emplace_back(PathOf(*kind), Mapping({{"patch", OldOperation(*kind)}}));
  return JsonResponse(ToJson(
      Mapping({{"swagger", String("2.0")},
               {"info", Mapping({{"title", String("Kubernetes")}, {"version", String("v1.30.0")}})},
               {"paths", std::move(paths)},
               {"definitions", Mapping()}})));
}

// Protocol buffers: a field that holds bytes, a text or a message.
std::string Varint(uint64_t number) {
  std::string out;
  for (; number >= 128; number >>= 7) out += static_cast<char>((number & 127) | 128);
  return out + static_cast<char>(number);
}

std::string Message(int field, const std::string& content) {
  return Varint(static_cast<uint64_t>(field) << 3 | 2) + Varint(content.size()) + content;
}

// Field numbers: gnostic, openapiv2/OpenAPIv2.proto.
std::string ProtobufParameter(const char* name) {
  constexpr int kIn = 2, kName = 4, kType = 6, kQuery = 3, kNonBody = 2, kParameter = 1;
  std::string query = Message(kIn, "query") + Message(kName, name) + Message(kType, "string");
  return Message(kParameter, Message(kNonBody, Message(kQuery, query)));
}

std::string ProtobufPath(const Kind& kind) {
  constexpr int kName = 1, kValue = 2, kYaml = 2;
  constexpr int kParameters = 8, kResponses = 9, kExtensions = 13, kPatch = 8, kPath = 2;
  std::string gvk =
      "group: \"" + kind.group + "\"\nkind: " + kind.kind + "\nversion: " + kind.version + "\n";
  std::string extension =
      Message(kName, "x-kubernetes-group-version-kind") + Message(kValue, Message(kYaml, gvk));
  std::string operation;
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation"})
    operation += Message(kParameters, ProtobufParameter(name));
  operation += Message(kResponses, "");
  operation += Message(kExtensions, extension);
  return Message(kPath, Message(kName, PathOf(kind)) + Message(kValue, Message(kPatch, operation)));
}

Response VersionTwoProtobuf(const Kinds& kinds) {
  constexpr int kSwagger = 1, kInfo = 2, kPaths = 8, kDefinitions = 9;
  constexpr int kTitle = 1, kVersion = 2;
  std::string paths;
  for (const KindPtr& kind : kinds.All()) paths += ProtobufPath(*kind);
  std::string document =
      Message(kSwagger, "2.0") +
      Message(kInfo, Message(kTitle, "Kubernetes") + Message(kVersion, "v1.30.0")) +
      Message(kPaths, paths) + Message(kDefinitions, "");
  Response out = JsonResponse(std::move(document));
  out.content_type = kProtobuf;
  return out;
}

}  // namespace

std::optional<Response> OpenApi(const Kinds& kinds, const Request& request) {
  constexpr std::string_view kV3 = "/openapi/v3/";
  if (request.path == "/openapi/v2") {
    bool protobuf = request.accept.find("protobuf") != request.accept.npos;
    return protobuf ? VersionTwoProtobuf(kinds) : VersionTwoJson(kinds);
  }
  if (request.path == "/openapi/v3") return VersionThreeIndex(kinds);
  if (!request.path.starts_with(kV3)) return std::nullopt;
  std::string version_path = request.path.substr(kV3.size());
  for (const KindPtr& kind : kinds.All())
    if (VersionPath(*kind) == version_path) return VersionThree(kinds, version_path);
  return std::nullopt;
}

}  // namespace sallyport::apiserver

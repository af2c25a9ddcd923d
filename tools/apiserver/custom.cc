// SPDX-License-Identifier: Apache-2.0
#include "apiserver/custom.h"

#include <algorithm>
#include <regex>
#include <set>

#include "apiserver/forms.h"
#include "apiserver/validate.h"
#include "apiserver/writer.h"
#include "model/validate_names.h"

namespace sallyport::apiserver {
namespace {

bool Says(const Value& schema, std::string_view key) { return IsTrue(schema.Find(key)); }

// Drops what the schema does not name. Source: apiextensions' structural pruning.
class Pruner {
 public:
  explicit Pruner(Decoded* out) : out_(out) {}

  void Prune(const Value& schema, Value& value, const std::string& path, bool root) {
    if (Says(schema, "x-kubernetes-preserve-unknown-fields")) {
      Descend(schema, value, path, root, /*keep=*/true);
    } else {
      Descend(schema, value, path, root, /*keep=*/false);
    }
  }

 private:
  void Descend(const Value& schema, Value& value, const std::string& path, bool root, bool keep) {
    if (value.type == Value::Type::kSequence) {
      const Value* items = schema.Find("items");
      for (size_t i = 0; items && i < value.items.size(); ++i)
        Prune(*items, value.items[i], path + "[" + std::to_string(i) + "]", false);
      return;
    }
    if (value.type != Value::Type::kMapping) return;
    const Value* properties = schema.Find("properties");
    const Value* additional = schema.Find("additionalProperties");
    bool embedded = root || Says(schema, "x-kubernetes-embedded-resource");
    std::vector<Value::Member> kept;
    for (Value::Member& member : value.members) {
      std::string at = path.empty() ? member.first : path + "." + member.first;
      bool meta = embedded && (member.first == "apiVersion" || member.first == "kind" ||
                               member.first == "metadata");
      const Value* property = properties ? properties->Find(member.first) : nullptr;
      if (!meta && property) {
        Prune(*property, member.second, at, false);
      } else if (!meta && IsMapping(additional)) {
        Prune(*additional, member.second, at, false);
      } else if (!meta && !keep && !IsTrue(additional)) {
        out_->unknown.push_back("unknown field " + Quote(at));
        continue;
      }
      kept.push_back(std::move(member));
    }
    value.members = std::move(kept);
  }

  Decoded* out_;
};

void FillDefaults(const Value& schema, Value& value) {
  if (value.type == Value::Type::kSequence) {
    if (const Value* items = schema.Find("items"))
      for (Value& item : value.items) FillDefaults(*items, item);
    return;
  }
  if (value.type != Value::Type::kMapping) return;
  for (const auto& [key, property] : Members(schema.Find("properties"))) {
    Value* member = Find(value, key);
    const Value* standard = property.Find("default");
    if (standard && (!member || (IsNull(member) && !Says(property, "nullable"))))
      member = &Set(value, key, *standard);
    if (member) FillDefaults(property, *member);
  }
  if (const Value* additional = schema.Find("additionalProperties"); IsMapping(additional)) {
    const Value* properties = schema.Find("properties");
    for (Value::Member& member : value.members)
      if (!properties || !properties->Find(member.first)) FillDefaults(*additional, member.second);
  }
}

std::string TypeOf(const Value& value) {
  switch (value.type) {
    case Value::Type::kBool:
      return "boolean";
    case Value::Type::kInteger:
      return "integer";
    case Value::Type::kNumber:
      return "number";
    case Value::Type::kString:
      return "string";
    case Value::Type::kSequence:
      return "array";
    case Value::Type::kMapping:
      return "object";
    default:
      return "null";
  }
}

bool IsType(const std::string& type, const Value& value) {
  std::string is = TypeOf(value);
  return type.empty() || type == is || (type == "number" && is == "integer");
}

double NumberOf(const Value& value) {
  return value.type == Value::Type::kInteger ? static_cast<double>(value.integer)
                                             : std::strtod(value.text.c_str(), nullptr);
}

// The checks of a JSON schema, as far as structural schemas have them.
class SchemaValidator {
 public:
  explicit SchemaValidator(std::vector<Cause>* out) : out_(out) {}

  void Check(const Value& schema, const Value& value, const std::string& path) {
    if (value.type == Value::Type::kNull && (Says(schema, "nullable") || path.empty())) return;
    if (!CheckType(schema, value, path)) return;
    CheckEnum(schema, value, path);
    switch (value.type) {
      case Value::Type::kInteger:
      case Value::Type::kNumber:
        CheckNumber(schema, value, path);
        break;
      case Value::Type::kString:
        CheckString(schema, value, path);
        break;
      case Value::Type::kSequence:
        CheckList(schema, value, path);
        break;
      case Value::Type::kMapping:
        CheckMembers(schema, value, path);
        break;
      default:
        break;
    }
    CheckJunctors(schema, value, path);
  }

 private:
  bool CheckType(const Value& schema, const Value& value, const std::string& path) {
    std::string type = TextAt(schema, {"type"});
    if (Says(schema, "x-kubernetes-int-or-string")) {
      if (value.type == Value::Type::kInteger || value.IsString()) return true;
      Add(WrongType(path, value, "must be an integer or a string"));
      return false;
    }
    if (IsType(type, value)) return true;
    Add({"FieldValueTypeInvalid",
         "Invalid value: " + Quote(TypeOf(value)) + ": " + path + " in body must be of type " +
             type + ": " + Quote(TypeOf(value)),
         path});
    return false;
  }

  void CheckEnum(const Value& schema, const Value& value, const std::string& path) {
    const Value* allowed = schema.Find("enum");
    if (!allowed) return;
    for (const Value& one : allowed->items)
      if (SameContent(one, value)) return;
    Add(Unsupported(path, Text(&value), Texts(allowed)));
  }

  void CheckNumber(const Value& schema, const Value& value, const std::string& path) {
    double number = NumberOf(value);
    if (const Value* least = schema.Find("minimum")) {
      bool open = Says(schema, "exclusiveMinimum");
      if (number < NumberOf(*least) || (open && number == NumberOf(*least)))
        Body(path, value,
             "should be greater than " + std::string(open ? "" : "or equal to ") + Text(least));
    }
    if (const Value* most = schema.Find("maximum")) {
      bool open = Says(schema, "exclusiveMaximum");
      if (number > NumberOf(*most) || (open && number == NumberOf(*most)))
        Body(path, value,
             "should be less than " + std::string(open ? "" : "or equal to ") + Text(most));
    }
    if (const Value* step = schema.Find("multipleOf")) {
      double times = number / NumberOf(*step);
      if (times != static_cast<double>(static_cast<int64_t>(times)))
        Body(path, value, "should be a multiple of " + Text(step));
    }
  }

  void CheckString(const Value& schema, const Value& value, const std::string& path) {
    // Characters, not bytes.
    auto length = std::count_if(value.text.begin(), value.text.end(),
                                [](char c) { return (c & 0xc0) != 0x80; });
    if (auto least = IntegerAt(schema, {"minLength"}); least && length < *least)
      Body(path, value, "should be at least " + std::to_string(*least) + " chars long");
    if (auto most = IntegerAt(schema, {"maxLength"}); most && length > *most)
      Add({"FieldValueTooLong", "Too long: may not be longer than " + std::to_string(*most), path});
    if (std::string pattern = TextAt(schema, {"pattern"}); !pattern.empty()) {
      // A text this long would take a backtracking matcher too deep.
      bool fits = value.text.size() <= 4096 &&
                  std::regex_search(value.text, std::regex(pattern, std::regex::ECMAScript));
      if (!fits) Body(path, value, "should match '" + pattern + "'");
    }
    CheckFormat(TextAt(schema, {"format"}), value, path);
  }

  void CheckFormat(const std::string& format, const Value& value, const std::string& path) {
    bool good = true;
    auto address = net::Address::Parse(value.text);
    if (format == "ipv4") good = address && address->IsV4();
    if (format == "ipv6") good = address && !address->IsV4();
    if (format == "cidr") good = net::Cidr::Parse(value.text).has_value();
    if (format == "date-time") good = ParseTime(value.text).has_value();
    if (!good) Body(path, value, "must be of type " + format + ": " + Quote(value.text));
  }

  void CheckList(const Value& schema, const Value& value, const std::string& path) {
    auto size = static_cast<int64_t>(value.items.size());
    if (auto least = IntegerAt(schema, {"minItems"}); least && size < *least)
      Body(path, Integer(size), "should have at least " + std::to_string(*least) + " items");
    if (auto most = IntegerAt(schema, {"maxItems"}); most && size > *most)
      Add({"FieldValueTooMany",
           "Too many: " + std::to_string(size) + ": must have at most " + std::to_string(*most) +
               " items",
           path});
    CheckUnique(schema, value, path);
    if (const Value* items = schema.Find("items"))
      for (size_t i = 0; i < value.items.size(); ++i)
        Check(*items, value.items[i], path + "[" + std::to_string(i) + "]");
  }

  void CheckUnique(const Value& schema, const Value& value, const std::string& path) {
    std::string kind = TextAt(schema, {"x-kubernetes-list-type"});
    bool unique = kind == "set" || kind == "map" || Says(schema, "uniqueItems");
    if (!unique) return;
    std::vector<std::string> keys = Texts(schema.Find("x-kubernetes-list-map-keys"));
    std::set<std::string> seen;
    for (size_t i = 0; i < value.items.size(); ++i) {
      Value id = value.items[i];
      if (kind == "map")
        std::erase_if(id.members, [&](const Value::Member& member) {
          return std::find(keys.begin(), keys.end(), member.first) == keys.end();
        });
      std::string text = ToJson(id);
      if (!seen.insert(text).second)
        Add({"FieldValueDuplicate", "Duplicate value: " + text,
             path + "[" + std::to_string(i) + "]"});
    }
  }

  void CheckMembers(const Value& schema, const Value& value, const std::string& path) {
    auto at = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
    for (const std::string& key : Texts(schema.Find("required")))
      if (!value.Find(key)) Add(Required(at(key)));
    auto size = static_cast<int64_t>(value.members.size());
    if (auto most = IntegerAt(schema, {"maxProperties"}); most && size > *most)
      Body(path, Integer(size), "must have at most " + std::to_string(*most) + " items");
    if (auto least = IntegerAt(schema, {"minProperties"}); least && size < *least)
      Body(path, Integer(size), "should have at least " + std::to_string(*least) + " properties");
    const Value* properties = schema.Find("properties");
    const Value* additional = schema.Find("additionalProperties");
    for (const auto& [key, member] : value.members) {
      if (path.empty() && (key == "metadata" || key == "kind" || key == "apiVersion")) continue;
      if (const Value* property = properties ? properties->Find(key) : nullptr) {
        Check(*property, member, at(key));
      } else if (IsMapping(additional)) {
        Check(*additional, member, at(key));
      }
    }
  }

  // Whether the value passes; nothing is told.
  static bool Passes(const Value& schema, const Value& value, const std::string& path) {
    std::vector<Cause> causes;
    SchemaValidator(&causes).Check(schema, value, path);
    return causes.empty();
  }

  void CheckJunctors(const Value& schema, const Value& value, const std::string& path) {
    for (const Value& one : Items(schema.Find("allOf"))) Check(one, value, path);
    auto passing = [&](std::string_view key) {
      const std::vector<Value>& all = Items(schema.Find(key));
      return std::count_if(all.begin(), all.end(),
                           [&](const Value& one) { return Passes(one, value, path); });
    };
    if (schema.Find("anyOf") && passing("anyOf") == 0)
      Body(path, value, "must validate at least one schema (anyOf)");
    if (schema.Find("oneOf") && passing("oneOf") != 1)
      Body(path, value, "must validate one and only one schema (oneOf)");
    const Value* forbidden = schema.Find("not");
    if (forbidden && Passes(*forbidden, value, path))
      Body(path, value, "must not validate the schema (not)");
  }

  void Body(const std::string& path, const Value& value, const std::string& what) {
    Add(BadValue(path, value, path + " in body " + what));
  }
  void Add(Cause cause) { out_->push_back(std::move(cause)); }

  std::vector<Cause>* out_;
};

std::vector<std::string> PathKeys(const std::string& path) {
  std::vector<std::string> out;
  for (size_t at = 0; at < path.size();) {
    size_t end = std::min(path.find('.', at + 1), path.size());
    out.push_back(path.substr(at + 1, end - at - 1));
    at = end;
  }
  return out;
}

void CheckPattern(const Value& schema, const std::string& path, std::vector<Cause>* causes) {
  if (std::string pattern = TextAt(schema, {"pattern"}); !pattern.empty()) {
    try {
      std::regex compiled(pattern, std::regex::ECMAScript);
    } catch (const std::regex_error& error) {
      causes->push_back(BadValue(path + ".pattern", pattern, error.what()));
    }
  }
}

// A structural schema says the type of every value.
void CheckSchema(const Value& schema, const std::string& path, std::vector<Cause>* causes) {
  CheckPattern(schema, path, causes);
  bool typed = schema.Find("type") || Says(schema, "x-kubernetes-int-or-string") ||
               Says(schema, "x-kubernetes-preserve-unknown-fields");
  if (!typed)
    causes->push_back(Required(path + ".type", "must not be empty for specified object fields"));
  static const std::set<std::string> kTypes = {"",       "array",  "boolean", "integer",
                                               "number", "object", "string"};
  std::string type = TextAt(schema, {"type"});
  if (!kTypes.count(type))
    causes->push_back(Unsupported(path + ".type", type,
                                  {"array", "boolean", "integer", "number", "object", "string"}));
  for (const auto& [key, property] : Members(schema.Find("properties")))
    CheckSchema(property, path + ".properties[" + key + "]", causes);
  if (const Value* items = schema.Find("items")) CheckSchema(*items, path + ".items", causes);
  if (const Value* additional = schema.Find("additionalProperties"); IsMapping(additional))
    CheckSchema(*additional, path + ".additionalProperties", causes);
}

void CheckVersions(const Value& spec, std::vector<Cause>* causes) {
  int stored = 0;
  const std::vector<Value>& versions = Items(spec.Find("versions"));
  std::set<std::string> names;
  for (size_t i = 0; i < versions.size(); ++i) {
    std::string path = "spec.versions[" + std::to_string(i) + "]";
    std::string name = TextAt(versions[i], {"name"});
    if (std::string wrong = model::CheckDnsLabel(name); !wrong.empty())
      causes->push_back(BadValue(path + ".name", name, wrong));
    if (!names.insert(name).second) causes->push_back(Duplicate(path + ".name", name));
    if (IsTrue(versions[i].Find("storage"))) ++stored;
    const Value* schema = At(versions[i], {"schema", "openAPIV3Schema"});
    if (!IsMapping(schema)) {
      causes->push_back(Required(path + ".schema.openAPIV3Schema", "schemas are required"));
      continue;
    }
    if (TextAt(*schema, {"type"}) != "object")
      causes->push_back(BadValue(path + ".schema.openAPIV3Schema.type", TextAt(*schema, {"type"}),
                                 "must be object at the root"));
    CheckSchema(*schema, path + ".schema.openAPIV3Schema", causes);
  }
  if (stored != 1)
    causes->push_back(BadValue("spec.versions", *spec.Find("versions"),
                               "must have exactly one version marked as storage version"));
}

}  // namespace

Decoded DecodeCustom(const Kind& kind, Value& object) {
  Decoded out;
  Pruner(&out).Prune(*kind.custom->schema, object, "", true);
  if (Value* metadata = Find(object, "metadata"); IsMapping(metadata)) {
    Decoded inner = DecodeAs(*FindType("ObjectMeta"), *metadata);
    out.wrong_type = inner.wrong_type;
    out.unknown.insert(out.unknown.end(), inner.unknown.begin(), inner.unknown.end());
  }
  return out;
}

std::vector<Cause> FillAndValidateCustom(const Kind& kind, Value& object, const Value* old) {
  FillDefaults(*kind.custom->schema, object);
  std::vector<Cause> causes = ValidateMetadata(kind, object, old);
  SchemaValidator(&causes).Check(*kind.custom->schema, object, "");
  return causes;
}

void EstablishDefinition(Value& definition, const std::string& now) {
  Value conditions = Sequence();
  auto add = [&](const char* type, const char* reason, const char* message) {
    conditions.items.push_back(Mapping({{"type", String(type)},
                                        {"status", String("True")},
                                        {"lastTransitionTime", String(now)},
                                        {"reason", String(reason)},
                                        {"message", String(message)}}));
  };
  add("NamesAccepted", "NoConflicts", "no conflicts found");
  add("Established", "InitialNamesAccepted", "the initial names have been accepted");
  Value stored = Sequence();
  for (const Value& version : Items(At(definition, {"spec", "versions"})))
    if (IsTrue(version.Find("storage"))) stored.items.push_back(*version.Find("name"));
  const Value* names = At(definition, {"spec", "names"});
  Set(definition, "status",
      Mapping({{"conditions", std::move(conditions)},
               {"acceptedNames", names ? *names : Mapping()},
               {"storedVersions", std::move(stored)}}));
}

std::vector<Cause> ValidateDefinition(const Value& definition, const Value* old) {
  std::vector<Cause> causes;
  const Value& spec = *definition.Find("spec");
  std::string plural = TextAt(spec, {"names", "plural"});
  std::string group = TextAt(spec, {"group"});
  std::string scope = TextAt(spec, {"scope"});
  std::string name = TextAt(definition, {"metadata", "name"});
  if (std::string wrong = model::CheckDnsSubdomain(group); !wrong.empty())
    causes.push_back(BadValue("spec.group", group, wrong));
  if (name != plural + "." + group)
    causes.push_back(BadValue("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
  if (scope != "Namespaced" && scope != "Cluster")
    causes.push_back(Unsupported("spec.scope", scope, {"Cluster", "Namespaced"}));
  if (plural.empty()) causes.push_back(Required("spec.names.plural"));
  if (TextAt(spec, {"names", "kind"}).empty()) causes.push_back(Required("spec.names.kind"));
  if (Items(spec.Find("versions")).empty()) {
    causes.push_back(Required("spec.versions"));
  } else {
    CheckVersions(spec, &causes);
  }
  if (old && TextAt(*old, {"spec", "scope"}) != scope)
    causes.push_back(BadValue("spec.scope", scope, "field is immutable"));
  return causes;
}

void SetReplicas(const Kind& kind, Value& object, int64_t replicas) {
  std::string path = kind.custom ? kind.custom->spec_replicas_path : ".spec.replicas";
  std::vector<std::string> keys = PathKeys(path);
  Value* at = &object;
  for (size_t i = 0; i + 1 < keys.size(); ++i) at = &Child(*at, keys[i]);
  if (!keys.empty()) Set(*at, keys.back(), Integer(replicas));
}

std::string ScaleJson(const Kind& kind, const Value& object) {
  std::string spec_path = kind.custom ? kind.custom->spec_replicas_path : ".spec.replicas";
  std::string status_path = kind.custom ? kind.custom->status_replicas_path : ".status.replicas";
  auto number = [&](const std::string& path) {
    std::vector<const Value*> found = FindPath(object, path);
    return found.empty() ? int64_t{0} : found[0]->integer;
  };
  Value metadata = Mapping();
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"})
    if (const Value* value = At(object, {"metadata", key})) Set(metadata, key, *value);
  Value status = Mapping({{"replicas", Integer(number(status_path))}});
  std::string selector;
  if (kind.custom) {
    std::vector<const Value*> found = FindPath(object, kind.custom->selector_path);
    if (!found.empty() && !kind.custom->selector_path.empty()) selector = Text(found[0]);
  } else {
    const Value* all = At(object, {"spec", "selector"});
    const Value* labels = all && all->Find("matchLabels") ? all->Find("matchLabels") : all;
    for (const auto& [key, value] : Members(labels))
      if (value.IsString()) selector += (selector.empty() ? "" : ",") + key + "=" + value.text;
  }
  if (!selector.empty()) Set(status, "selector", String(selector));
  return ToJson(Mapping({{"kind", String("Scale")},
                         {"apiVersion", String("autoscaling/v1")},
                         {"metadata", std::move(metadata)},
                         {"spec", Mapping({{"replicas", Integer(number(spec_path))}})},
                         {"status", std::move(status)}}));
}

}  // namespace sallyport::apiserver

// SPDX-License-Identifier: Apache-2.0
#include "model/manifest.h"

#include <algorithm>

#include "model/decode.h"
#include "model/kinds.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

// The apiVersion and kind that a typed list gives to items that have none.
struct Implied {
  std::string api_version;
  std::string kind;
};

class Decoder {
 public:
  Decoder(const std::string& file, const std::string& default_namespace)
      : file_(file), default_namespace_(default_namespace) {}

  // One object or list; `path` is where it stands in its document.
  void Decode(const Value& value, const std::string& path = "", const Implied& implied = {});
  Manifest Take() { return std::move(out_); }

 private:
  void DecodeList(const Cursor& list, const std::string& path, std::optional<Kind> item_kind);
  void DecodeObject(const Cursor& object, Kind kind);
  Delta MakeObject(const Cursor& object, Kind kind, Meta meta);
  std::optional<Implied> TypeOf(const Cursor& object, const Implied& implied);

  const std::string& file_;
  const std::string& default_namespace_;
  Manifest out_;
};

MetaRules RulesOf(Kind kind) {
  switch (kind) {
    case Kind::kNamespace:
      return {false, CheckDnsLabel};
    case Kind::kNode:
    case Kind::kEgressGateway:
      return {false, CheckDnsSubdomain};
    case Kind::kService:
      return {true, CheckDnsLabel};
    default:
      return {true, CheckDnsSubdomain};
  }
}

// apiVersion and kind, reported if they are not there.
std::optional<Implied> Decoder::TypeOf(const Cursor& object, const Implied& implied) {
  bool says_nothing = !object.Child("apiVersion") && !object.Child("kind");
  if (says_nothing && !implied.kind.empty()) return implied;
  const std::string* api_version = object.String("apiVersion");
  const std::string* kind = object.String("kind");
  if (!object.Child("apiVersion")) {
    object.ErrorAt("apiVersion", "is required, such as v1 or networking.k8s.io/v1");
  }
  if (!object.Child("kind")) {
    object.ErrorAt("kind", "is required, such as Pod or NetworkPolicy");
  }
  if (!api_version || !kind) return std::nullopt;
  return Implied{*api_version, *kind};
}

void Decoder::Decode(const Value& value, const std::string& path, const Implied& implied) {
  Report report(file_, out_.diagnostics);
  Cursor object(value, report, path);
  if (value.type != Value::Type::kMapping) {
    object.Error(
        "is not a Kubernetes object: it must be a mapping with apiVersion, kind and "
        "metadata");
    out_.unreadable = true;
    return;
  }
  std::optional<Implied> type = TypeOf(object, implied);
  if (!type) {
    out_.unreadable = true;
    return;
  }
  Classified classified = Classify(type->api_version, type->kind);
  switch (classified.what) {
    case Classified::What::kObject:
      return DecodeObject(object, *classified.kind);
    case Classified::What::kList:
      return DecodeList(object, path, classified.kind);
    case Classified::What::kSkipped:
      ++out_.skipped[type->api_version + " " + type->kind];
      return;
    case Classified::What::kMistake:
      object.ErrorAt("kind", classified.message);
      out_.unreadable = true;
      return;
  }
}

void Decoder::DecodeList(const Cursor& list, const std::string& path,
                         std::optional<Kind> item_kind) {
  static const std::vector<std::string_view> kFields = {"apiVersion", "kind", "metadata", "items"};
  list.Known(kFields);
  std::optional<Cursor> items = list.Sequence("items");
  if (!items) {
    if (list.Child("items")) out_.unreadable = true;
    return;
  }
  Implied implied;
  if (item_kind) implied = {std::string(ApiVersionOf(*item_kind)), ToString(*item_kind)};
  std::string prefix = path.empty() ? "items[" : path + ".items[";
  for (size_t i = 0; i < items->value().items.size(); ++i) {
    Decode(items->value().items[i], prefix + std::to_string(i) + "]", implied);
  }
}

void Decoder::DecodeObject(const Cursor& object, Kind kind) {
  Report& report = object.report();
  Meta meta = DecodeMeta(object, kind, RulesOf(kind), default_namespace_);
  ObjectName name = meta.name;
  Delta delta = MakeObject(object, kind, std::move(meta));
  if (object.value().flawed) report.Fail();
  if (!report.failed()) {
    out_.objects.push_back(std::move(delta));
  } else if (!name.name.empty()) {
    out_.broken.emplace_back(kind, std::move(name));
  } else {
    out_.unreadable = true;
  }
}

Delta Decoder::MakeObject(const Cursor& object, Kind kind, Meta meta) {
  switch (kind) {
    case Kind::kNamespace:
      return Delta::Set(DecodeNamespace(object, std::move(meta)));
    case Kind::kNode:
      return Delta::Set(DecodeNode(object, std::move(meta)));
    case Kind::kPod:
      return Delta::Set(DecodePod(object, std::move(meta)));
    case Kind::kService:
      return Delta::Set(DecodeService(object, std::move(meta)));
    case Kind::kEndpointSlice:
      return Delta::Set(DecodeEndpointSlice(object, std::move(meta)));
    case Kind::kEgressGateway:
      return Delta::Set(DecodeEgressGateway(object, std::move(meta)));
    default:
      return Delta::Set(DecodeNetworkPolicy(object, std::move(meta)));
  }
}

}  // namespace

Manifest DecodeDocuments(const std::vector<Document>& documents, const std::string& file,
                         const std::string& default_namespace) {
  Decoder decoder(file, default_namespace);
  for (const Document& document : documents) decoder.Decode(document);
  return decoder.Take();
}

Manifest ReadManifest(std::string_view text, const std::string& file,
                      const std::string& default_namespace) {
  Decoder decoder(file, default_namespace);
  ParsedText parsed =
      ParseText(text, file, [&](const Document& document) { decoder.Decode(document); });
  Manifest out = decoder.Take();
  out.unreadable |= parsed.unreadable;
  Diagnostics& all = out.diagnostics;
  all.insert(all.end(), parsed.diagnostics.begin(), parsed.diagnostics.end());
  std::stable_sort(all.begin(), all.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return a.place.line < b.place.line;
  });
  return out;
}

}  // namespace sallyport::model

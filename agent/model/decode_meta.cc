// SPDX-License-Identifier: Apache-2.0
// metadata, labels and the values that several kinds share.
#include <algorithm>
#include <cctype>
#include <cstdint>

#include "model/decode.h"
#include "model/validate_names.h"

namespace sallyport::model {
namespace {

const std::vector<std::string_view> kMetaFields = {"annotations",
                                                   "clusterName",
                                                   "creationTimestamp",
                                                   "deletionGracePeriodSeconds",
                                                   "deletionTimestamp",
                                                   "finalizers",
                                                   "generateName",
                                                   "generation",
                                                   "initializers",
                                                   "labels",
                                                   "managedFields",
                                                   "name",
                                                   "namespace",
                                                   "ownerReferences",
                                                   "resourceVersion",
                                                   "selfLink",
                                                   "uid"};

constexpr size_t kMaxAnnotations = 256 * 1024;

// "010.0.0.08" as 10.0.0.8.
std::string WithoutLeadingZeros(std::string_view numbers) {
  std::string out;
  for (size_t i = 0; i < numbers.size(); ++i) {
    bool begins = out.empty() || out.back() == '.';
    bool more = i + 1 < numbers.size() && std::isdigit(static_cast<uint8_t>(numbers[i + 1])) != 0;
    if (!begins || !more || numbers[i] != '0') out += numbers[i];
  }
  return out;
}

// As API servers read them for years: IPv4 with leading zeros (decimal all the same), or written as
// IPv6. Policies of that time are still about.
std::optional<net::Cidr> ParseOldCidr(std::string_view text) {
  size_t slash = std::min(text.find('/'), text.size());
  std::string address(text.substr(0, slash));
  std::string length = WithoutLeadingZeros(text.substr(std::min(slash + 1, text.size())));
  bool v6 = address.find(':') != std::string::npos;
  if (!v6) address = WithoutLeadingZeros(address);
  if (auto cidr = net::Cidr::Parse(address + "/" + length)) return *cidr;
  auto mapped = net::Cidr::Parse("::/" + length);
  auto v4 = net::Address::Parse(address);
  if (!v6 || !mapped || !v4 || !v4->IsV4() || mapped->length() < 96) return std::nullopt;
  return net::Cidr(*v4, mapped->length() - 96);
}

// A generated name may end in "-": more follows.
std::string CheckPrefix(const MetaRules& rules, std::string text) {
  if (!text.empty() && text.back() == '-') text.back() = 'a';
  return rules.check_name(text);
}

// The valid name, or "".
std::string DecodeName(const Cursor& meta, const MetaRules& rules) {
  if (const std::string* prefix = meta.String("generateName"); prefix && !prefix->empty()) {
    std::string wrong = CheckPrefix(rules, *prefix);
    if (!wrong.empty()) meta.ErrorAt("generateName", Quoted(*prefix) + " " + wrong);
  }
  const std::string* name = meta.String("name");
  if (!name || name->empty()) {
    // A name of another type has been reported.
    if (name || !meta.Child("name")) {
      meta.ErrorAt("name", "is required (a generateName is completed by an API server only)");
    }
    return "";
  }
  if (std::string wrong = rules.check_name(*name); !wrong.empty()) {
    meta.ErrorAt("name", Quoted(*name) + " " + wrong);
    return "";
  }
  return *name;
}

// The valid namespace; nullopt if there should be one and it is not valid.
std::optional<std::string> DecodeNamespaceOf(const Cursor& meta, const MetaRules& rules,
                                             const std::string& default_namespace) {
  const std::string* ns = meta.String("namespace");
  if (!rules.namespaced) {
    if (ns && !ns->empty()) meta.ErrorAt("namespace", "is not allowed: the kind is cluster-scoped");
    return "";
  }
  if (!ns && meta.Child("namespace")) return std::nullopt;
  if (!ns || ns->empty()) return default_namespace;
  if (std::string wrong = CheckDnsLabel(*ns); !wrong.empty()) {
    meta.ErrorAt("namespace", Quoted(*ns) + " " + wrong);
    return std::nullopt;
  }
  return *ns;
}

void CheckAnnotations(const Cursor& meta) {
  size_t size = 0;
  meta.EachMember("annotations", [&](const Cursor& entry) {
    if (entry.value().type != Value::Type::kNull && entry.IsString()) size += entry.text().size();
    size += entry.key().size();
    // Unlike a label's, an annotation's prefix may have capitals.
    std::string lower(entry.key());
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (std::string wrong = CheckQualifiedName(lower); !wrong.empty()) {
      entry.Error("annotation key " + Quoted(entry.key()) + ": " + wrong);
    }
  });
  if (size > kMaxAnnotations) meta.ErrorAt("annotations", "must not be larger than 256 KiB in all");
}

void CheckOwners(const Cursor& meta) {
  int controllers = 0;
  meta.Each("ownerReferences", [&](const Cursor& owner) {
    if (!owner.IsMapping()) return;
    for (std::string_view key : {"apiVersion", "kind", "name", "uid"}) {
      const std::string* text = owner.String(key);
      if (text ? text->empty() : !owner.Child(key)) owner.ErrorAt(key, "is required");
    }
    if (owner.Bool("controller").value_or(false) && ++controllers == 2) {
      owner.ErrorAt("controller", "only one owner may be the controller");
    }
  });
}

void CheckUnusedFields(const Cursor& meta) {
  for (std::string_view key : {"deletionTimestamp", "resourceVersion", "selfLink"}) {
    meta.String(key);
  }
  meta.Integer("deletionGracePeriodSeconds");
  meta.Each("finalizers", [](const Cursor& item) {
    if (!item.IsString()) return;
    if (std::string wrong = CheckQualifiedName(item.text()); !wrong.empty()) {
      item.Error(Quoted(item.text()) + " " + wrong);
    }
  });
  CheckAnnotations(meta);
  CheckOwners(meta);
}

}  // namespace

Labels DecodeLabels(const Cursor& parent, std::string_view key) {
  std::vector<Labels::Entry> entries;
  parent.EachMember(key, [&](const Cursor& entry) {
    // In Go a null in a map of strings is the empty string.
    bool null = entry.value().type == Value::Type::kNull;
    if (!null && !entry.IsString()) return;
    std::string text = null ? std::string() : entry.text();
    if (std::string wrong = CheckLabelValue(text); !wrong.empty()) {
      entry.Error("label value " + Quoted(text) + " " + wrong);
    }
    entries.emplace_back(entry.key(), std::move(text));
  });
  for (const auto& [name, value] : entries) {
    if (std::string wrong = CheckQualifiedName(name); !wrong.empty()) {
      parent.ErrorAt(key, "label key " + Quoted(name) + ": " + wrong);
    }
  }
  return Labels(std::move(entries));
}

Meta DecodeMeta(const Cursor& object, Kind kind, const MetaRules& rules,
                const std::string& default_namespace) {
  Meta out;
  object.report().SetObject(ToString(kind), {});
  std::optional<Cursor> meta = object.Mapping("metadata");
  if (!meta) {
    if (!object.Child("metadata")) object.ErrorAt("metadata", "is required, with a name");
    return out;
  }
  std::string name = DecodeName(*meta, rules);
  std::optional<std::string> ns = DecodeNamespaceOf(*meta, rules, default_namespace);
  if (!name.empty() && ns) {
    out.name = {std::move(*ns), std::move(name)};
    object.report().SetObject(ToString(kind), out.name);
  }
  meta->Known(kMetaFields);
  if (const std::string* uid = meta->String("uid")) out.uid = *uid;
  if (const std::string* created = meta->String("creationTimestamp")) out.created = *created;
  out.generation = meta->Integer("generation").value_or(0);
  if (out.generation < 0) meta->ErrorAt("generation", "must not be negative");
  out.labels = DecodeLabels(*meta, "labels");
  CheckUnusedFields(*meta);
  return out;
}

Place PlaceOf(const Cursor& object) { return {object.report().file(), object.line()}; }

std::optional<net::Cidr> DecodeCidr(const Cursor& at) {
  if (!at.IsString()) return std::nullopt;
  auto cidr = net::Cidr::Parse(at.text());
  if (auto old = cidr ? std::nullopt : ParseOldCidr(at.text())) {
    at.Warn(Quoted(at.text()) + " means " + old->ToString() + "; API servers no longer take it so");
    return old;
  }
  if (!cidr) {
    std::string message = Quoted(at.text()) + " is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32";
    if (auto address = net::Address::Parse(at.text())) {
      message += "; for this one address write " + at.text() + (address->IsV4() ? "/32" : "/128");
    }
    at.Error(message);
    return std::nullopt;
  }
  auto address = net::Address::Parse(std::string_view(at.text()).substr(0, at.text().find('/')));
  if (address && *address != cidr->address()) {
    at.Warn(at.text() + " has bits set beyond its length: it means " + cidr->ToString());
  }
  return *cidr;
}

uint16_t CheckPort(const Cursor& at, int64_t port) {
  if (port >= 1 && port <= 65535) return static_cast<uint16_t>(port);
  at.Error(std::to_string(port) + " must be between 1 and 65535");
  return 0;
}

net::Protocol DecodeProtocol(const Cursor& at) {
  if (!at.IsString()) return net::Protocol::kTcp;
  auto protocol = net::ParseProtocol(at.text());
  if (protocol && net::HasPorts(*protocol)) return *protocol;
  at.Error(Quoted(at.text()) + " must be one of TCP, UDP, SCTP");
  return net::Protocol::kTcp;
}

}  // namespace sallyport::model

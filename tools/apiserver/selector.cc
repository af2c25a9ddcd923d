// SPDX-License-Identifier: Apache-2.0
#include "apiserver/selector.h"

#include <algorithm>

#include "apiserver/status.h"
#include "model/validate_names.h"

namespace sallyport::apiserver {
namespace {

using model::Operator;
using model::Requirement;

// Reads apimachinery's selector grammar from left to right.
class LabelParser {
 public:
  explicit LabelParser(std::string_view text) : text_(text) {}

  std::vector<Requirement> Parse() {
    std::vector<Requirement> out;
    Skip();
    while (at_ < text_.size()) {
      out.push_back(One());
      Skip();
      if (at_ == text_.size()) break;
      if (!Take(",")) Fail("expected a comma at \"" + Rest() + "\"");
      Skip();
      if (at_ == text_.size()) Fail("nothing after the last comma");
    }
    return out;
  }

 private:
  Requirement One() {
    if (Take("!")) return {Key(), Operator::kDoesNotExist, {}};
    Requirement made{Key(), Operator::kExists, {}};
    Skip();
    if (at_ == text_.size() || text_[at_] == ',') return made;
    if (Take("!=")) {
      made.op = Operator::kNotIn;
      made.values = {LabelValue()};
    } else if (Take("==") || Take("=")) {
      made.op = Operator::kIn;
      made.values = {LabelValue()};
    } else {
      std::string word = Word();
      if (word != "in" && word != "notin")
        Fail("found \"" + word + "\" where an operator was expected: in, notin, =, ==, !=");
      made.op = word == "in" ? Operator::kIn : Operator::kNotIn;
      made.values = Set();
    }
    return made;
  }

  std::vector<std::string> Set() {
    std::vector<std::string> out;
    Skip();
    if (!Take("(")) Fail("expected '(' after in or notin");
    do {
      out.push_back(LabelValue());
      Skip();
    } while (Take(","));
    if (!Take(")")) Fail("expected ')' at the end of the values");
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  std::string Key() {
    std::string key = Word();
    if (std::string wrong = model::CheckQualifiedName(key); !wrong.empty())
      Fail("key " + Quote(key) + ": " + wrong);
    return key;
  }

  std::string LabelValue() {
    std::string value = Word();
    if (std::string wrong = model::CheckLabelValue(value); !wrong.empty())
      Fail("value " + Quote(value) + ": " + wrong);
    return value;
  }

  std::string Word() {
    Skip();
    size_t from = at_;
    while (at_ < text_.size() && std::string_view("=!,() \t").find(text_[at_]) == text_.npos) ++at_;
    return std::string(text_.substr(from, at_ - from));
  }

  void Skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool Take(std::string_view what) {
    Skip();
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  std::string Rest() const { return std::string(text_.substr(at_)); }
  [[noreturn]] void Fail(const std::string& why) const {
    throw BadRequest("unable to parse requirement: " + why);
  }

  std::string_view text_;
  size_t at_ = 0;
};

struct SelectableField {
  std::string_view store_key;
  std::string_view field;
  std::string_view outer;  // the members that lead to it
  std::string_view inner = "";
};

// core/v1 and batch/v1 conversion: what kinds can be selected by, metadata apart.
const std::vector<SelectableField>& Selectable() {
  static const std::vector<SelectableField> fields = {
      {"pods", "spec.nodeName", "spec", "nodeName"},
      {"pods", "spec.restartPolicy", "spec", "restartPolicy"},
      {"pods", "spec.schedulerName", "spec", "schedulerName"},
      {"pods", "spec.serviceAccountName", "spec", "serviceAccountName"},
      {"pods", "spec.hostNetwork", "spec", "hostNetwork"},
      {"pods", "status.phase", "status", "phase"},
      {"pods", "status.podIP", "status", "podIP"},
      {"pods", "status.nominatedNodeName", "status", "nominatedNodeName"},
      {"nodes", "spec.unschedulable", "spec", "unschedulable"},
      {"namespaces", "status.phase", "status", "phase"},
      {"secrets", "type", "type"},
      {"services", "spec.clusterIP", "spec", "clusterIP"},
      {"services", "spec.type", "spec", "type"},
      {"replicasets.apps", "status.replicas", "status", "replicas"},
      {"replicationcontrollers", "status.replicas", "status", "replicas"},
      {"jobs.batch", "status.successful", "status", "succeeded"},
      {"events", "involvedObject.kind", "involvedObject", "kind"},
      {"events", "involvedObject.namespace", "involvedObject", "namespace"},
      {"events", "involvedObject.name", "involvedObject", "name"},
      {"events", "involvedObject.uid", "involvedObject", "uid"},
      {"events", "involvedObject.apiVersion", "involvedObject", "apiVersion"},
      {"events", "involvedObject.resourceVersion", "involvedObject", "resourceVersion"},
      {"events", "involvedObject.fieldPath", "involvedObject", "fieldPath"},
      {"events", "reason", "reason"},
      {"events", "reportingComponent", "reportingComponent"},
      {"events", "source", "source", "component"},
      {"events", "type", "type"},
  };
  return fields;
}

bool CanSelect(std::string_view store_key, std::string_view field) {
  if (field == "metadata.name" || field == "metadata.namespace") return true;
  const auto& all = Selectable();
  return std::any_of(all.begin(), all.end(), [&](const SelectableField& one) {
    return one.store_key == store_key && one.field == field;
  });
}

// A boolean that is absent is "false", and a number "0".
std::string FieldText(const SelectableField& field, const Value& object) {
  const Value* value = object.Find(field.outer);
  if (value && !field.inner.empty()) value = value->Find(field.inner);
  std::string text = Text(value);
  if (!text.empty()) return text;
  if (field.field == "spec.unschedulable" || field.field == "spec.hostNetwork") return "false";
  if (field.field == "status.replicas" || field.field == "status.successful") return "0";
  return "";
}

}  // namespace

model::Selector ParseLabelSelector(std::string_view text) {
  return model::Selector(LabelParser(text).Parse());
}

Fields FieldsOf(std::string_view store_key, const Value& object) {
  Fields out = {{"metadata.name", TextAt(object, {"metadata", "name"})},
                {"metadata.namespace", TextAt(object, {"metadata", "namespace"})}};
  for (const SelectableField& field : Selectable())
    if (field.store_key == store_key) out.emplace_back(field.field, FieldText(field, object));
  return out;
}

std::vector<FieldRequirement> ParseFieldSelector(std::string_view text,
                                                 std::string_view store_key) {
  std::vector<FieldRequirement> out;
  while (!text.empty()) {
    std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (one.empty()) continue;
    size_t sign = one.find('=');
    if (sign == one.npos)
      throw BadRequest("invalid selector: '" + std::string(one) + "'; can't understand it");
    bool equal = sign == 0 || one[sign - 1] != '!';
    std::string field(one.substr(0, equal ? sign : sign - 1));
    std::string_view value = one.substr(sign + 1);
    if (equal && !value.empty() && value.front() == '=') value.remove_prefix(1);
    if (!CanSelect(store_key, field)) throw BadRequest("field label not supported: " + field);
    out.push_back({std::move(field), std::string(value), equal});
  }
  return out;
}

bool Match(const std::vector<FieldRequirement>& requirements, const Fields& fields) {
  return std::all_of(
      requirements.begin(), requirements.end(), [&](const FieldRequirement& requirement) {
        auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) {
          return field.first == requirement.field;
        });
        return (found != fields.end() && found->second == requirement.value) == requirement.equal;
      });
}

}  // namespace sallyport::apiserver

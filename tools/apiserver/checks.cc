// SPDX-License-Identifier: Apache-2.0
#include "apiserver/checks.h"

#include "model/validate_names.h"
#include "net/address.h"

namespace sallyport::apiserver {
std::string Index(const std::string& path, size_t i) {
  return path + "[" + std::to_string(i) + "]";
}

void CheckLabels(const Value* labels, const std::string& path, Causes* out) {
  for (const auto& [key, value] : Members(labels)) {
    if (std::string wrong = model::CheckQualifiedName(key); !wrong.empty())
      out->push_back(BadValue(path, key, "name part " + wrong));
    if (std::string wrong = model::CheckLabelValue(Text(&value)); !wrong.empty())
      out->push_back(BadValue(path, Text(&value), wrong));
  }
}

// meta/v1 LabelSelector.
void CheckSelector(const Value* selector, const std::string& path, Causes* out) {
  if (!selector) return;
  CheckLabels(selector->Find("matchLabels"), path + ".matchLabels", out);
  const std::vector<Value>& expressions = Items(selector->Find("matchExpressions"));
  for (size_t i = 0; i < expressions.size(); ++i) {
    std::string at = Index(path + ".matchExpressions", i);
    std::string op = TextAt(expressions[i], {"operator"});
    std::vector<std::string> values = Texts(expressions[i].Find("values"));
    if (std::string wrong = model::CheckQualifiedName(TextAt(expressions[i], {"key"}));
        !wrong.empty())
      out->push_back(BadValue(at + ".key", TextAt(expressions[i], {"key"}), wrong));
    if (op == "In" || op == "NotIn") {
      if (values.empty())
        out->push_back(
            Required(at + ".values", "must be specified when `operator` is 'In' or 'NotIn'"));
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (!values.empty())
        out->push_back(Prohibited(
            at + ".values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
    } else {
      out->push_back(BadValue(at + ".operator", op, "not a valid selector operator"));
    }
    for (size_t j = 0; j < values.size(); ++j)
      if (std::string wrong = model::CheckLabelValue(values[j]); !wrong.empty())
        out->push_back(BadValue(Index(at + ".values", j), values[j], wrong));
  }
}

void CheckPort(const Value* port, const std::string& path, Causes* out) {
  int64_t number = port ? port->integer : 0;
  if (number < 1 || number > 65'535)
    out->push_back(BadValue(path, Integer(number), "must be between 1 and 65535, inclusive"));
}

// A number or a name (IANA_SVC_NAME).
void CheckPortOrName(const Value& port, const std::string& path, Causes* out) {
  if (port.type == Value::Type::kInteger) {
    CheckPort(&port, path, out);
  } else if (std::string wrong = model::CheckPortName(port.text); !wrong.empty()) {
    out->push_back(BadValue(path, port.text, wrong));
  }
}

void CheckProtocol(const Value& parent, const std::string& path, Causes* out) {
  std::string protocol = TextAt(parent, {"protocol"});
  if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
    out->push_back(Unsupported(path + ".protocol", protocol, {"SCTP", "TCP", "UDP"}));
}

void CheckIp(const std::string& text, const std::string& path, Causes* out) {
  if (!net::Address::Parse(text))
    out->push_back(
        BadValue(path, text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
}

bool Same(const Value* a, const Value* b) {
  if (!a || !b) return IsNull(a) && IsNull(b);
  return SameContent(*a, *b);
}

void CheckImmutable(const Value& object, const Value* old,
                    std::initializer_list<std::string_view> path, const std::string& field,
                    Causes* out) {
  if (!old || Same(At(object, path), At(*old, path))) return;
  const Value* now = At(object, path);
  out->push_back(BadValue(field, now ? *now : Value(), "field is immutable"));
}

}  // namespace sallyport::apiserver

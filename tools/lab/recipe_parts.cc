// SPDX-License-Identifier: Apache-2.0
#include "lab/recipe_parts.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sallyport::lab {
namespace {

const std::string* FindVariable(const Environment& env, std::string_view name) {
  const std::string* found = nullptr;
  for (const auto& [key, value] : env)
    if (key == name) found = &value;
  return found;
}

// The data of a ConfigMap or Secret, decoded; nullopt where there is no such object.
Result<std::optional<std::map<std::string, std::string>>> DataOf(const std::string& kind,
                                                                 const std::string& name,
                                                                 const ValueSource& source) {
  using Data = std::map<std::string, std::string>;
  auto object = source.objects->find({kind, {NameOf(source.pod).ns, name}});
  if (object == source.objects->end()) return std::optional<Data>();
  Data data;
  const Value& tree = object->second.tree;
  for (const auto& [key, value] : Members(tree.Find("data"))) {
    if (kind == "ConfigMap") {
      data[key] = Text(&value);
      continue;
    }
    auto decoded = DecodeBase64(Text(&value));
    if (!decoded) return std::move(decoded).error().Context(kind + " " + name + ", data." + key);
    data[key] = *std::move(decoded);
  }
  for (const auto& [key, value] : Members(tree.Find("stringData"))) data[key] = Text(&value);
  for (const auto& [key, value] : Members(tree.Find("binaryData"))) {
    auto decoded = DecodeBase64(Text(&value));
    if (!decoded)
      return std::move(decoded).error().Context(kind + " " + name + ", binaryData." + key);
    data[key] = *std::move(decoded);
  }
  return std::optional(std::move(data));
}

Error Missing(const std::string& kind, const std::string& name, const ValueSource& source) {
  return {"needs " + kind + " " + NameOf(source.pod).ns + "/" + name +
              ", which is not there: create it, or say optional: true",
          0};
}

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += separator;
    out += part;
  }
  return out;
}

// fieldRef: the fields that Kubernetes offers and the lab knows; nullopt for others.
std::optional<std::string> Field(const std::string& path, const ValueSource& source) {
  const PodFacts& facts = source.facts;
  if (path == "metadata.name") return NameOf(source.pod).name;
  if (path == "metadata.namespace") return NameOf(source.pod).ns;
  if (path == "metadata.uid") return TextAt(source.pod, {"metadata", "uid"});
  if (path == "spec.nodeName") return facts.node;
  if (path == "spec.serviceAccountName") {
    std::string account = TextAt(source.pod, {"spec", "serviceAccountName"});
    return account.empty() ? "default" : account;
  }
  if (path == "status.podIP") return facts.pod_ip;
  if (path == "status.podIPs") return Join(facts.pod_ips, ",");
  if (path == "status.hostIP") return facts.host_ip;
  for (const char* map : {"labels", "annotations"}) {
    std::string prefix = std::string("metadata.") + map + "['";
    if (path.starts_with(prefix) && path.ends_with("']")) {
      std::string key = path.substr(prefix.size(), path.size() - prefix.size() - 2);
      return TextAt(source.pod, {"metadata", map, key});
    }
  }
  return std::nullopt;
}

// A configMapKeyRef or secretKeyRef; nullopt where it is optional and absent.
Result<std::optional<std::string>> KeyRef(const Value& ref, const std::string& kind,
                                          const ValueSource& source) {
  std::string name = TextAt(ref, {"name"});
  std::string key = TextAt(ref, {"key"});
  bool optional = IsTrue(ref.Find("optional"));
  auto data = DataOf(kind, name, source);
  if (!data) return std::move(data).error();
  if (!*data) {
    if (optional) return std::optional<std::string>();
    return Missing(kind, name, source);
  }
  auto found = (*data)->find(key);
  if (found != (*data)->end()) return std::optional(found->second);
  if (optional) return std::optional<std::string>();
  return Error{"needs key \"" + key + "\" of " + kind + " " + NameOf(source.pod).ns + "/" + name +
                   ", which has no such key",
               0};
}

Result<std::optional<std::string>> ValueFrom(const Value& from, const ValueSource& source) {
  if (const Value* ref = from.Find("configMapKeyRef")) return KeyRef(*ref, "ConfigMap", source);
  if (const Value* ref = from.Find("secretKeyRef")) return KeyRef(*ref, "Secret", source);
  if (const Value* ref = from.Find("fieldRef")) {
    auto value = Field(TextAt(*ref, {"fieldPath"}), source);
    if (!value) return Error{"fieldRef " + TextAt(*ref, {"fieldPath"}) + " is not known", 0};
    return value;
  }
  return std::optional<std::string>("0");  // resourceFieldRef: the lab limits nothing
}

Status AddEnvFrom(const Value& from, const ValueSource& source, Environment* env) {
  std::string prefix = TextAt(from, {"prefix"});
  for (const auto& [member, kind] :
       {std::pair("configMapRef", "ConfigMap"), std::pair("secretRef", "Secret")}) {
    const Value* ref = from.Find(member);
    if (!ref) continue;
    auto data = DataOf(kind, TextAt(*ref, {"name"}), source);
    if (!data) return std::move(data).error();
    if (!*data) {
      if (IsTrue(ref->Find("optional"))) continue;
      return Missing(kind, TextAt(*ref, {"name"}), source);
    }
    for (const auto& [key, value] : **data) env->emplace_back(prefix + key, value);
  }
  return Ok();
}

// The files that one configMap, secret or downwardAPI source adds to a volume.
Status AddFiles(const Value& tree, const std::string& kind, const std::string& name,
                const ValueSource& source, std::map<std::string, std::string>* files) {
  bool optional = IsTrue(tree.Find("optional"));
  auto data = DataOf(kind, name, source);
  if (!data) return std::move(data).error();
  if (!*data) return optional ? Ok() : Status(Missing(kind, name, source));
  const Value* items = tree.Find("items");
  if (!items) {
    files->insert((*data)->begin(), (*data)->end());
    return Ok();
  }
  for (const Value& item : Items(items)) {
    auto found = (*data)->find(TextAt(item, {"key"}));
    if (found != (*data)->end()) {
      (*files)[TextAt(item, {"path"})] = found->second;
    } else if (!optional) {
      return Error{kind + " " + name + " has no key \"" + TextAt(item, {"key"}) + "\"", 0};
    }
  }
  return Ok();
}

Status AddSource(const Value& tree, const ValueSource& source,
                 std::map<std::string, std::string>* files) {
  if (const Value* map = tree.Find("configMap"))
    return AddFiles(*map, "ConfigMap", TextAt(*map, {"name"}), source, files);
  if (const Value* secret = tree.Find("secret")) {
    std::string name = TextAt(*secret, {"secretName"});
    if (name.empty()) name = TextAt(*secret, {"name"});  // as projected sources spell it
    return AddFiles(*secret, "Secret", name, source, files);
  }
  if (const Value* token = tree.Find("serviceAccountToken"))
    (*files)[TextAt(*token, {"path"})] = source.facts.token;
  if (const Value* api = tree.Find("downwardAPI")) {
    for (const Value& item : Items(api->Find("items")))
      if (auto value = Field(TextAt(item, {"fieldRef", "fieldPath"}), source))
        (*files)[TextAt(item, {"path"})] = *value;
  }
  return Ok();
}

// A number, or the name of one of the container's ports; 0 where it is neither.
uint16_t ProbePort(const Value* port, const std::vector<model::ContainerPort>& ports) {
  if (!port) return 0;
  std::string text = Text(port);
  uint16_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  auto found = std::find_if(ports.begin(), ports.end(),
                            [&](const model::ContainerPort& p) { return p.name == text; });
  return found == ports.end() ? 0 : found->port;
}

}  // namespace

std::string ExpandVariables(const std::string& text, const Environment& env) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      out.push_back(text[i]);
    } else if (text[i + 1] == '$') {
      out.push_back('$');
      ++i;
    } else if (size_t end = text.find(')', i); text[i + 1] == '(' && end != std::string::npos) {
      std::string name = text.substr(i + 2, end - i - 2);
      const std::string* value = FindVariable(env, name);
      out += value ? *value : "$(" + name + ")";
      i = end;
    } else {
      out.push_back('$');
    }
  }
  return out;
}

Result<Environment> MakeEnvironment(const Value& container, const ValueSource& source) {
  Environment env;
  for (const Value& from : Items(container.Find("envFrom")))
    if (Status added = AddEnvFrom(from, source, &env); !added) return std::move(added).error();
  for (const Value& variable : Items(container.Find("env"))) {
    std::string name = TextAt(variable, {"name"});
    const Value* from = variable.Find("valueFrom");
    if (!from) {
      env.emplace_back(name, ExpandVariables(TextAt(variable, {"value"}), env));
      continue;
    }
    auto value = ValueFrom(*from, source);
    if (!value) return std::move(value).error().Context("env " + name);
    if (*value) env.emplace_back(name, **value);
  }
  return env;
}

Result<Volume> MakeVolume(const Value& tree, const ValueSource& source) {
  Volume volume{TextAt(tree, {"name"}), {}, false};
  const Value* projected = tree.Find("projected");
  volume.read_only =
      projected || tree.Find("configMap") || tree.Find("secret") || tree.Find("downwardAPI");
  if (Status added = AddSource(tree, source, &volume.files); !added)
    return std::move(added).error();
  if (projected) {
    for (const Value& part : Items(projected->Find("sources")))
      if (Status added = AddSource(part, source, &volume.files); !added)
        return std::move(added).error();
  }
  for (const auto& [path, content] : volume.files)
    if (path.empty() || path.front() == '/' || path.find("..") != std::string::npos)
      return Error{"path \"" + path + "\" must stay inside the volume", 0};
  return volume;
}

std::vector<model::ContainerPort> ContainerPorts(const Value& container) {
  std::vector<model::ContainerPort> out;
  for (const Value& port : Items(container.Find("ports"))) {
    auto number = IntegerAt(port, {"containerPort"});
    std::string protocol = TextAt(port, {"protocol"});
    auto parsed = net::ParseProtocol(protocol.empty() ? "TCP" : protocol);
    if (number && *number > 0 && *number < 65536 && parsed)
      out.push_back({TextAt(port, {"name"}), *parsed, static_cast<uint16_t>(*number)});
  }
  return out;
}

std::optional<ReadinessCheck> ParseReadiness(const Value* probe,
                                             const std::vector<model::ContainerPort>& ports) {
  if (!probe) return std::nullopt;
  ReadinessCheck check;
  if (const Value* tcp = probe->Find("tcpSocket")) {
    check.type = ReadinessCheck::Type::kTcp;
    check.port = ProbePort(tcp->Find("port"), ports);
    check.host = TextAt(*tcp, {"host"});
  } else if (const Value* http = probe->Find("httpGet")) {
    check.type = ReadinessCheck::Type::kHttp;
    check.port = ProbePort(http->Find("port"), ports);
    check.host = TextAt(*http, {"host"});
    check.path = TextAt(*http, {"path"});
    for (const Value& header : Items(http->Find("httpHeaders")))
      check.headers.emplace_back(TextAt(header, {"name"}), TextAt(header, {"value"}));
    // Without TLS of its own the lab only asks whether an HTTPS server accepts.
    if (TextAt(*http, {"scheme"}) == "HTTPS") check.type = ReadinessCheck::Type::kTcp;
  } else if (const Value* exec = probe->Find("exec")) {
    check.type = ReadinessCheck::Type::kExec;
    check.command = Texts(exec->Find("command"));
  } else {
    return std::nullopt;
  }
  auto number = [&](const char* field, int otherwise) {
    auto value = IntegerAt(*probe, {field});
    return value && *value >= 0 && *value < 100'000 ? static_cast<int>(*value) : otherwise;
  };
  check.initial_delay = number("initialDelaySeconds", 0);
  check.period = std::max(1, number("periodSeconds", 10));
  check.timeout = std::max(1, number("timeoutSeconds", 1));
  check.successes = std::max(1, number("successThreshold", 1));
  check.failures = std::max(1, number("failureThreshold", 3));
  return check;
}

std::string EncodeBase64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k)
      out.push_back(k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=');
  }
  return out;
}

Result<std::string> DecodeBase64(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  bool padded = false;
  auto digit = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  for (char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') continue;
    if (c == '=') {
      padded = true;
      continue;
    }
    int value = digit(c);
    if (value < 0 || padded)
      return Error{"is not base64 (a Secret's stringData takes plain text)", 0};
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (++count % 4 != 1) out.push_back(static_cast<char>(bits >> (6 - 2 * ((count + 3) % 4))));
  }
  if (count % 4 == 1) return Error{"is not base64 (a Secret's stringData takes plain text)", 0};
  return out;
}

}  // namespace sallyport::lab

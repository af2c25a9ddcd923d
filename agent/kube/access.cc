// SPDX-License-Identifier: Apache-2.0
#include "kube/access.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "model/document.h"
#include "net/address.h"

namespace sallyport::kube {
namespace {

namespace fs = std::filesystem;
using model::Value;

constexpr size_t kMaxFile = 8u << 20;

Result<std::string> ReadFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoError(path);
  if (S_ISDIR(info.st_mode)) return ErrnoError(path, EISDIR);
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoError(path, EACCES);
  std::string text;
  char buffer[1 << 14];
  do {  // not all at once: it may be a device, which never ends
    file.read(buffer, sizeof(buffer));
    text.append(buffer, static_cast<size_t>(file.gcount()));
  } while (file && text.size() <= kMaxFile);
  if (file.bad()) return ErrnoError(path, EIO);
  if (text.size() > kMaxFile) return Error{path + ": larger than 8 MiB", EFBIG};
  return text;
}

int Sextet(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Base64 with padding (RFC 4648), broken lines allowed; nullopt if it is none.
std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string out;
  unsigned bits = 0;
  size_t digits = 0, padding = 0;
  for (char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    int value = Sextet(c);
    if (value < 0 || padding > 0) return std::nullopt;
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xffffff;
    if (++digits % 4 != 1) out += static_cast<char>(bits >> (6 - 2 * ((digits - 1) % 4)) & 0xff);
  }
  return (digits + padding) % 4 == 0 && padding < 3 ? std::optional(out) : std::nullopt;
}

// Fit for a line of a request: no blanks, no control characters, ASCII.
bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

// A server's URL into host, port and base path. The error says what is wrong with it.
Status ReadUrl(std::string_view url, Access& access) {
  constexpr std::string_view kHttps = "https://";
  if (url.substr(0, 7) == "http://") {
    return Error{
        "http:// is not verified, and policy would be what anybody says who answers "
        "there: use https://"};
  }
  if (url.substr(0, kHttps.size()) != kHttps) return Error{"it must start with https://"};
  url.remove_prefix(kHttps.size());
  size_t slash = std::min(url.find('/'), url.size());
  access.base_path = url.substr(slash);
  while (!access.base_path.empty() && access.base_path.back() == '/') access.base_path.pop_back();
  std::string_view authority = url.substr(0, slash);
  size_t host_end = authority.rfind(':');
  if (!authority.empty() && authority.front() == '[') {
    size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return Error{"there is a [ without a ]"};
    access.host = authority.substr(1, bracket - 1);
    if (!net::Address::Parse(access.host)) return Error{"there is no IPv6 address in its [ ]"};
    host_end = bracket + 1;
  } else {
    host_end = std::min(host_end, authority.size());
    access.host = authority.substr(0, host_end);
    if (access.host.find(':') != std::string::npos) {
      return Error{"put an IPv6 address in brackets, as in https://[fd00::1]:6443"};
    }
  }
  bool odd = access.host.empty() || !IsPlain(access.host) || !IsPlain(access.base_path) ||
             access.host.find_first_of("@?#\"\\") != std::string::npos ||
             access.base_path.find_first_of("?#") != std::string::npos;
  if (odd) return Error{"it must be https://HOST:PORT, or https://HOST:PORT/PATH"};
  std::string_view port = authority.substr(host_end);
  if (port.empty()) return Ok();
  auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), access.port);
  bool whole = port.front() == ':' && end == port.data() + port.size();
  if (error != std::errc() || !whole || access.port == 0) {
    return Error{"its port must be a number from 1 to 65535"};
  }
  return Ok();
}

// One kubeconfig file, on the way to an Access.
class Reader {
 public:
  Reader(const std::string& path, const Value& config, const ReadText& read)
      : path_(path), directory_(fs::path(path).parent_path()), config_(config), read_(read) {}

  Result<Access> Read(const std::string& context);

 private:
  Error Wrong(const std::string& what) const { return {"kubeconfig " + path_ + ": " + what}; }
  std::string Text(const Value& at, std::string_view key) const;
  Result<const Value*> Named(std::string_view list, std::string_view key, const std::string& name);
  Status ReadCluster(const Value& cluster, Access& access);
  Status ReadUser(const Value& user, Access& access);
  // `key`-data, base64, or else the file `key`, whose path goes to `file`.
  Result<std::string> Pem(const Value& at, const std::string& key, std::string& file);

  const std::string& path_;
  const fs::path directory_;
  const Value& config_;
  const ReadText& read_;
};

std::string Reader::Text(const Value& at, std::string_view key) const {
  const Value* value = at.Find(key);
  return value && value->type != Value::Type::kNull ? value->text : "";
}

// The entry called `name` in a list of {name, key: {...}}: its `key`.
Result<const Value*> Reader::Named(std::string_view list, std::string_view key,
                                   const std::string& name) {
  std::string there;
  static const Value none;
  const Value* all = config_.Find(list);
  for (const Value& entry : (all ? all : &none)->items) {
    std::string own = Text(entry, "name");
    const Value* value = entry.Find(key);
    if (own == name && value && value->type == Value::Type::kMapping) return value;
    there += (there.empty() ? "" : ", ") + own;
  }
  return Wrong("there is no " + std::string(key) + " \"" + name + "\"; there " +
               (there.empty() ? "is none" : "are " + there));
}

Result<std::string> Reader::Pem(const Value& at, const std::string& key, std::string& file) {
  if (std::string data = Text(at, key + "-data"); !data.empty()) {
    auto decoded = DecodeBase64(data);
    if (!decoded) return Wrong(key + "-data is not base64");
    return *decoded;
  }
  std::string path = Text(at, key);
  if (path.empty()) return std::string();
  file = directory_ / path;  // an absolute one stays as it is
  auto text = read_(file);
  if (!text) return Wrong(key + ": " + text.error().message);
  if (text->empty()) return Wrong(key + ": " + file + " is empty");
  return text;
}

Status Reader::ReadCluster(const Value& cluster, Access& access) {
  std::string server = Text(cluster, "server");
  if (Status url = ReadUrl(server, access); !url) {
    return Wrong("the server \"" + server + "\" cannot be used: " + url.error().message);
  }
  const Value* insecure = cluster.Find("insecure-skip-tls-verify");
  if (insecure && insecure->boolean) {
    return Wrong("insecure-skip-tls-verify is refused: give the server's certificate-authority");
  }
  if (!Text(cluster, "proxy-url").empty()) {
    return Wrong("proxy-url is not supported: give a server that can be reached directly");
  }
  auto authority = Pem(cluster, "certificate-authority", access.ca_file);
  if (!authority) return std::move(authority).error();
  access.ca_pem = *authority;
  access.server_name = Text(cluster, "tls-server-name");
  if (!IsPlain(access.server_name)) return Wrong("tls-server-name is no name of a server");
  return Ok();
}

Status Reader::ReadUser(const Value& user, Access& access) {
  for (std::string_view other : {"exec", "auth-provider"}) {
    const Value* there = user.Find(other);
    if (!there || there->type == Value::Type::kNull) continue;
    return Wrong("the user's " + std::string(other) +
                 " is not supported: use a token, a tokenFile or a client certificate (of a "
                 "service account, say: kubectl create token)");
  }
  if (!Text(user, "username").empty()) {
    return Wrong("username and password are not supported: use a token or a client certificate");
  }
  auto certificate = Pem(user, "client-certificate", access.client_certificate_file);
  if (!certificate) return std::move(certificate).error();
  auto key = Pem(user, "client-key", access.client_key_file);
  if (!key) return std::move(key).error();
  if (certificate->empty() != key->empty()) {
    return Wrong("client-certificate and client-key must be given together");
  }
  access.client_certificate_pem = *certificate;
  access.client_key_pem = *key;
  access.token = Text(user, "token");
  if (!IsPlain(access.token)) {
    return Wrong("the user's token has blanks or line breaks in it, or is no ASCII");
  }
  std::string file = Text(user, "tokenFile");
  if (!file.empty()) access.token_file = directory_ / file;
  return Ok();
}

Result<Access> Reader::Read(const std::string& wanted) {
  if (Text(config_, "kind") != "Config") return Wrong("it is not of kind Config");
  std::string name = wanted.empty() ? Text(config_, "current-context") : wanted;
  if (name.empty()) return Wrong("it has no current-context, and none was asked for");
  auto context = Named("contexts", "context", name);
  if (!context) return std::move(context).error();
  auto cluster = Named("clusters", "cluster", Text(**context, "cluster"));
  if (!cluster) return std::move(cluster).error();
  Access access;
  access.origin = "kubeconfig " + path_;
  access.ns = Text(**context, "namespace");
  if (access.ns.empty()) access.ns = "default";
  if (Status status = ReadCluster(**cluster, access); !status) return std::move(status).error();
  // A context may do without a user: then nobody in particular asks.
  if (std::string user = Text(**context, "user"); !user.empty()) {
    auto found = Named("users", "user", user);
    if (!found) return std::move(found).error();
    if (Status status = ReadUser(**found, access); !status) return std::move(status).error();
  }
  return access;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::string Access::Url() const {
  bool brackets = host.find(':') != std::string::npos;
  return "https://" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port) + base_path;
}

void Access::Reread() {
  auto read = [](const std::string& file, std::string& pem) {
    if (file.empty()) return;
    auto text = ReadFile(file);
    if (text && !text->empty()) pem = std::move(*text);
  };
  read(ca_file, ca_pem);
  read(client_certificate_file, client_certificate_pem);
  read(client_key_file, client_key_pem);
}

Result<Access> ReadKubeconfig(const std::string& path, const std::string& context) {
  auto text = ReadFile(path);
  if (!text) return std::move(text).error().Context("kubeconfig");
  return ParseKubeconfig(*text, path, context, ReadFile);
}

Result<Access> ParseKubeconfig(std::string_view text, const std::string& path,
                               const std::string& context, const ReadText& read) {
  model::ParsedText parsed = model::ParseText(text, path);
  if (model::HasErrors(parsed.diagnostics)) {
    return Error{"kubeconfig " + parsed.diagnostics.front().ToString()};
  }
  if (parsed.documents.size() != 1) {
    return Error{"kubeconfig " + path + ": there must be one document in it, not " +
                 std::to_string(parsed.documents.size())};
  }
  return Reader(path, parsed.documents.front(), read).Read(context);
}

Result<Access> InClusterAccess(const std::string& service_host, const std::string& service_port,
                               const std::string& directory) {
  Access access;
  access.origin = "the service account in " + directory;
  bool v6 = service_host.find(':') != std::string::npos;
  std::string url =
      "https://" + (v6 ? "[" + service_host + "]" : service_host) + ":" + service_port;
  if (Status status = ReadUrl(url, access); !status) {
    return Error{"KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT give " + url + ": " +
                 status.error().message};
  }
  access.ca_file = directory + "/ca.crt";
  auto authority = ReadFile(access.ca_file);
  if (!authority) return std::move(authority).error().Context("the cluster's authority");
  if (authority->empty()) return Error{"the cluster's authority: " + access.ca_file + " is empty"};
  access.ca_pem = *authority;
  access.token_file = directory + "/token";
  if (auto token = ReadFile(access.token_file); !token) {
    return std::move(token).error().Context("the service account's token");
  }
  access.ns = ReadFile(directory + "/namespace").value_or("default");
  return access;
}

Result<Access> InClusterAccess() {
  return InClusterAccess(Environment("KUBERNETES_SERVICE_HOST"),
                         Environment("KUBERNETES_SERVICE_PORT"));
}

bool InCluster() {
  struct stat info {};
  return !Environment("KUBERNETES_SERVICE_HOST").empty() &&
         !Environment("KUBERNETES_SERVICE_PORT").empty() &&
         stat((std::string(kServiceAccount) + "/token").c_str(), &info) == 0;
}

}  // namespace sallyport::kube

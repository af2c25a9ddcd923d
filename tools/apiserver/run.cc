// SPDX-License-Identifier: Apache-2.0
#include "apiserver/run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "apiserver/api.h"
#include "apiserver/encoding.h"
#include "apiserver/http_server.h"
#include "base/log.h"
#include "base/unique_fd.h"

namespace sallyport::apiserver {
namespace {

constexpr std::chrono::seconds kRepairEvery{10};

Result<std::string> ReadText(const std::string& path) {
  std::ifstream in(path);
  if (!in) return ErrnoError(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Whole or not at all.
Status WriteText(const std::string& path, const std::string& text) {
  std::string fresh = path + ".new";
  UniqueFd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return ErrnoError(fresh);
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return ErrnoError("writing " + fresh);
  if (rename(fresh.c_str(), path.c_str()) != 0) return ErrnoError("writing " + path);
  return Ok();
}

// The text of a file; at the first time what `make` gives is written there.
template <typename Make>
Result<std::string> Keep(const std::string& path, Make make) {
  if (access(path.c_str(), F_OK) == 0) return ReadText(path);
  std::string text = make();
  if (Status wrote = WriteText(path, text); !wrote) return std::move(wrote).error();
  return text;
}

Result<Certificate> KeepAuthority(const std::string& data) {
  std::string path = data + "/ca";
  if (access((path + ".crt").c_str(), F_OK) == 0) {
    auto certificate = ReadText(path + ".crt");
    if (!certificate) return std::move(certificate).error();
    auto key = ReadText(path + ".key");
    if (!key) return std::move(key).error();
    return Certificate{*certificate, *key};
  }
  auto made = MakeAuthority("kubernetes");
  if (!made) return made;
  // The key first: with the certificate in place both are.
  if (Status wrote = WriteText(path + ".key", made->key_pem); !wrote)
    return std::move(wrote).error();
  if (Status wrote = WriteText(path + ".crt", made->certificate_pem); !wrote)
    return std::move(wrote).error();
  return made;
}

std::string Server(const ListenPlace& place, uint16_t port) {
  bool v6 = place.address.find(':') != place.address.npos;
  return "https://" + (v6 ? "[" + place.address + "]" : place.address) + ":" + std::to_string(port);
}

std::string Kubeconfig(const std::string& server, const Certificate& authority,
                       const Certificate& client) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: lab\n"
         "clusters:\n- name: lab\n  cluster:\n    server: " +
         server + "\n    certificate-authority-data: " + EncodeBase64(authority.certificate_pem) +
         "\nusers:\n- name: admin\n  user:\n    client-certificate-data: " +
         EncodeBase64(client.certificate_pem) +
         "\n    client-key-data: " + EncodeBase64(client.key_pem) +
         "\ncontexts:\n- name: lab\n  context:\n    cluster: lab\n    user: admin\n";
}

CertificateRequest ServerRequest(const RunOptions& options,
                                 const std::vector<ListenPlace>& places) {
  CertificateRequest request{.common_name = "kube-apiserver"};
  request.names = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
                   "kubernetes.default.svc.cluster.local"};
  request.names.insert(request.names.end(), options.names.begin(), options.names.end());
  request.addresses = {"127.0.0.1", "::1"};
  for (const ListenPlace& place : places) request.addresses.push_back(place.address);
  for (const net::Address& address : options.advertise)
    request.addresses.push_back(address.ToString());
  // default/kubernetes has the first address of its range.
  for (const net::Cidr& cidr : options.service_cidrs) {
    net::Address::Bytes bytes = cidr.address().bytes();
    ++bytes.back();
    request.addresses.push_back(net::Address(bytes).ToString());
  }
  return request;
}

struct Listening {
  uint16_t first_port = 0;
  uint16_t pods_port = 0;
  std::vector<net::Address> for_pods;
};

Result<Listening> ListenAll(HttpServer& server, const std::vector<ListenPlace>& places,
                            const TlsFiles& tls) {
  Listening out;
  for (const ListenPlace& place : places) {
    auto port = server.Listen(place, tls);
    if (!port) return std::move(port).error();
    if (out.first_port == 0) out.first_port = *port;
    LogInfo("listening on " + Server(place, *port) +
            (place.netns.empty() ? "" : " in " + place.netns));
    if (place.netns.empty()) continue;
    out.for_pods.push_back(*net::Address::Parse(place.address));
    out.pods_port = *port;
  }
  if (out.pods_port == 0) out.pods_port = out.first_port;
  return out;
}

Result<UniqueFd> LockData(const std::string& data) {
  if (mkdir(data.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoError("--data " + data);
  std::string path = data + "/lock";
  UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return ErrnoError(path);
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{"another API server runs on --data " + data + "; stop it first"};
  return file;
}

}  // namespace

Status Run(const RunOptions& given) {
  RunOptions options = given;
  if (options.service_cidrs.empty())
    options.service_cidrs = {*net::Cidr::Parse("10.96.0.0/16"),
                             *net::Cidr::Parse("fd00:10:96::/112")};
  std::vector<ListenPlace> places;
  for (const std::string& text : options.listen) {
    auto place = ParseListenPlace(text);
    if (!place) return std::move(place).error();
    places.push_back(*std::move(place));
  }
  if (places.empty()) return Error{"--listen: give at least one ADDRESS:PORT"};
  auto lock = LockData(options.data);
  if (!lock) return std::move(lock).error();

  // Threads that are made from here on leave these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  auto authority = KeepAuthority(options.data);
  if (!authority) return std::move(authority).error();
  auto certificate = MakeCertificate(*authority, ServerRequest(options, places));
  if (!certificate) return std::move(certificate).error();
  auto client = MakeCertificate(
      *authority, {.common_name = "kubernetes-admin", .organizations = {"system:masters"}});
  if (!client) return std::move(client).error();
  auto secret = Keep(options.data + "/token-secret", [] { return EncodeBase64(RandomBytes(32)); });
  if (!secret) return std::move(secret).error();
  auto token = Keep(options.data + "/admin.token", [] { return EncodeBase64Url(RandomBytes(32)); });
  if (!token) return std::move(token).error();

  std::string note;
  auto store = Store::Open(options.data, {options.history}, &note);
  if (!store) return std::move(store).error();
  if (!note.empty()) LogWarning(note);
  Api api(**store,
          {.reader = {options.bookmark_every, options.watch_list},
           .service_cidrs = options.service_cidrs,
           .token_secret = *secret,
           .admin_token = *token},
          SystemClock());
  HttpServer server(api);
  auto listening = ListenAll(server, places, {*certificate, authority->certificate_pem});
  if (!listening) return std::move(listening).error();
  auto set_up = [&] {
    return api.Bootstrap(options.advertise.empty() ? listening->for_pods : options.advertise,
                         listening->pods_port);
  };
  if (Status ready = set_up(); !ready) return ready;
  Status wrote =
      WriteText(options.data + "/admin.kubeconfig",
                Kubeconfig(Server(places[0], listening->first_port), *authority, *client));
  if (!wrote) return wrote;

  // What every cluster has comes back when somebody deletes it.
  const timespec repair{.tv_sec = kRepairEvery.count(), .tv_nsec = 0};
  while (sigtimedwait(&signals, nullptr, &repair) < 0) {
    if (errno != EAGAIN) continue;
    if (Status repaired = set_up(); !repaired) LogWarning(repaired.error().message);
  }
  LogInfo(
      "ending; watches have " +
      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(options.drain).count()) +
      " ms");
  server.Stop(SystemClock().Now() + options.drain);
  return Ok();
}

}  // namespace sallyport::apiserver

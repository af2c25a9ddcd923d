// SPDX-License-Identifier: Apache-2.0
#include "lab/agent/fake_api.h"

#include <fstream>
#include <utility>

namespace sallyport::test {
namespace {

std::string Base64(const std::string& text) {
  constexpr const char* kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < text.size(); at += 3) {
    unsigned bits = 0;
    for (size_t i = 0; i < 3; ++i) {
      bits = bits << 8 | (at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += at + i > text.size() ? '=' : kDigits[bits >> (18 - 6 * i) & 63];
    }
  }
  return out;
}

int Version(const std::string& query) {
  size_t at = query.find("resourceVersion=");
  return at == std::string::npos ? 0 : std::stoi("0" + query.substr(at + 16));
}

const char* const kExpired =
    R"({"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}})";

}  // namespace

FakeApi::FakeApi(const std::string& directory)
    : authority_(kube::CertificateOf{.name = "authority", .hosts = {}}.Make()),
      certificate_(kube::CertificateOf{.by = &authority_}.Make()) {
  Start();
  std::ofstream(directory + "/kubeconfig")
      << "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
      << "contexts: [{name: x, context: {cluster: x, user: x}}]\n"
      << "users: [{name: x, user: {token: secret}}]\n"
      << "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:" << port_
      << "', certificate-authority-data: " << Base64(authority_.pem) << "}}]\n";
}

FakeApi::~FakeApi() { Kill(); }

void FakeApi::Put(const std::string& resource, const std::string& name, const std::string& metadata,
                  const std::string& rest) {
  std::lock_guard lock(mutex_);
  ++version_;
  std::string text = R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" +
                     std::to_string(version_) + "\"" + metadata + "}," + rest + "}";
  bool known = objects_[resource].contains(name);
  objects_[resource][name] = {text, version_};
  changes_.push_back(
      {resource,
       R"({"type":")" + std::string(known ? "MODIFIED" : "ADDED") + R"(","object":)" + text + "}\n",
       version_});
  changed_.notify_all();
}

void FakeApi::Delete(const std::string& resource, const std::string& name) {
  std::lock_guard lock(mutex_);
  std::string text = objects_[resource].at(name).text;
  objects_[resource].erase(name);
  changes_.push_back({resource, R"({"type":"DELETED","object":)" + text + "}\n", ++version_});
  changed_.notify_all();
}

void FakeApi::Hang() {
  std::lock_guard lock(mutex_);
  hangs_ = true;
}

void FakeApi::Wake() {
  std::lock_guard lock(mutex_);
  hangs_ = false;
  changed_.notify_all();
}

void FakeApi::Reset() {
  std::lock_guard lock(mutex_);
  ++epoch_;
  changed_.notify_all();
}

void FakeApi::Kill() {
  Wake();
  Reset();
  server_.reset();
}

void FakeApi::Start(bool forget) {
  {
    std::lock_guard lock(mutex_);
    if (forget) {
      changes_.clear();
      remembers_ = ++version_;
    }
  }
  server_ = std::make_unique<kube::TlsServer>(
      certificate_, [this](kube::Conversation& talk) { Serve(talk); }, "", "127.0.0.1", port_);
  port_ = server_->port();
}

int FakeApi::watches() {
  std::lock_guard lock(mutex_);
  return watches_;
}

void FakeApi::Serve(kube::Conversation& talk) {
  for (std::string request = talk.Read(); !request.empty(); request = talk.Read()) {
    std::string target = request.substr(4, request.find(" HTTP") - 4);
    std::string path = target.substr(0, target.find('?'));
    Answer(talk, path.substr(path.rfind('/') + 1), target.substr(path.size()));
    std::lock_guard lock(mutex_);
    if (talk.ended()) return;
  }
}

void FakeApi::Answer(kube::Conversation& talk, const std::string& resource,
                     const std::string& query) {
  std::unique_lock lock(mutex_);
  int epoch = epoch_;
  changed_.wait(lock, [&] { return !hangs_ || epoch != epoch_; });
  if (epoch != epoch_) return talk.Reset();
  if (query.find("sendInitialEvents") != std::string::npos) {
    return talk.Write(kube::Answer(422, "{}"));
  }
  if (query.find("watch=true") != std::string::npos) {
    ++watches_;
    lock.unlock();
    Watch(talk, resource, Version(query));
    lock.lock();
    --watches_;
    return;
  }
  std::string items;
  for (const auto& [name, object] : objects_[resource]) {
    items += (items.empty() ? "" : ",") + object.text;
  }
  talk.Write(kube::Answer(200, R"({"kind":"List","metadata":{"resourceVersion":")" +
                                   std::to_string(version_) + R"("},"items":[)" + items + "]}"));
}

void FakeApi::Watch(kube::Conversation& talk, const std::string& resource, int from) {
  talk.Write(kube::ChunkedHead());
  std::unique_lock lock(mutex_);
  int epoch = epoch_;
  if (from < remembers_) return talk.Write(kube::Chunk(kExpired) + kube::kLastChunk);
  while (epoch == epoch_) {
    for (const Change& change : changes_) {
      if (hangs_ || change.resource != resource || change.version <= from) continue;
      talk.Write(kube::Chunk(change.event));
      from = change.version;
    }
    changed_.wait(lock);
  }
  talk.Reset();
}

}  // namespace sallyport::test

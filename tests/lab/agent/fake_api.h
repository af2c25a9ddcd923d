// SPDX-License-Identifier: Apache-2.0
// An API server within the test, on loopback, with the failings that a test wants.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "unit/kube/tls_server.h"

namespace sallyport::test {

class FakeApi {
 public:
  // Listens, and writes `directory`/kubeconfig.
  explicit FakeApi(const std::string& directory);
  ~FakeApi();

  // `resource`: "pods". The object's text is JSON with metadata.name, without a version.
  void Put(const std::string& resource, const std::string& name, const std::string& metadata,
           const std::string& rest);
  void Delete(const std::string& resource, const std::string& name);

  // Answers nothing, and says nothing on open watches, until Wake(): what happens meanwhile is told
  // then.
  void Hang();
  void Wake();
  // Cuts all connections, and takes none until Start().
  void Kill();
  // Again on the same port. `forget`: without the history, so that old versions are gone.
  void Start(bool forget = false);
  // Cuts all connections, takes new ones.
  void Reset();

  // Watches that are open now.
  int watches();

 private:
  struct Object {
    std::string text;
    int version;
  };
  struct Change {
    std::string resource, event;
    int version;
  };
  void Serve(kube::Conversation& talk);
  void Answer(kube::Conversation& talk, const std::string& resource, const std::string& query);
  void Watch(kube::Conversation& talk, const std::string& resource, int from);

  kube::Certificate authority_, certificate_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int version_ = 100, remembers_ = 100;
  std::map<std::string, std::map<std::string, Object>> objects_;
  std::vector<Change> changes_;
  bool hangs_ = false;
  int epoch_ = 0, watches_ = 0;  // connections of an older epoch end
  uint16_t port_ = 0;
  std::unique_ptr<kube::TlsServer> server_;
};

}  // namespace sallyport::test

// SPDX-License-Identifier: Apache-2.0
// Follows one resource of an API server: lists it, then watches it, for ever. What is done with the
// objects is the sink's affair.
//
// Lists come in pages, or, where the server has it, as the initial events of a watch
// (sendInitialEvents). A watch that ends in good order goes on from the last version known,
// bookmarks included; one that ends before its time, breaks, told nothing or found somebody in the
// server's place goes on once the server has said that it knows the version. A history that is lost
// (410, as a status or as an event), or that turns out to be another one (the server does not know
// our version yet), leads to a new list. What is there stays there meanwhile, for as long as it
// takes: nothing but a complete list or a DELETED event takes an object away. An optional resource
// that was never there counts as listed and empty, and is looked for again; one that goes away
// keeps its objects until it is listed anew.
//
// Not noticed: a server restored from a backup that, when it is asked, is past our version already.
//
// The rules are those of the Kubernetes API concepts, "Efficient detection of changes".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/backoff.h"
#include "base/clock.h"
#include "kube/client.h"

namespace sallyport::watch {

struct Resource {
  std::string name;   // for people and metrics: "pods", "networkpolicies.networking.k8s.io"
  std::string path;   // "/api/v1/pods"
  std::string query;  // more of it, encoded: "labelSelector=a%3Db"; may be empty
  // The server may not have it: a custom resource. Of one that every server has, a 404 is a failure
  // like any other, and no reason to believe that there are no objects.
  bool optional = false;
};

// What hears of the objects, on the reflector's thread. `object` is the JSON text of one object,
// valid during the call; items of a typed list have neither apiVersion nor kind.
class ObjectSink {
 public:
  virtual ~ObjectSink() = default;
  // A list begins, perhaps not the first, perhaps after one that broke off.
  virtual void BeginList() = 0;
  // The object is there, and is so: in a list, or by ADDED or MODIFIED.
  virtual void Set(std::string_view object) = 0;
  // By DELETED: in its last state, or, of one that left a selection, with its old labels.
  virtual void Remove(std::string_view object) = 0;
  // The list is complete: what was not Set since BeginList is gone.
  virtual void EndList() = 0;
  // What came at once has been told: a good moment to pass it on.
  virtual void Flush() {}
};

// How the watch of a resource is doing.
struct WatchState {
  bool installed = true;               // false: the server does not have this resource now
  bool synced = false;                 // listed completely, once; stays true
  bool connected = false;              // a watch is open at this moment
  std::optional<WallTime> lost;        // since when no watch is open; nothing while one is
  std::optional<WallTime> last_event;  // or bookmark, or complete list
  uint64_t events = 0;                 // told by watches, bookmarks included
  uint64_t reconnects = 0;             // watches opened after the first
  uint64_t relists = 0;                // complete lists after the first
  uint64_t errors = 0;                 // requests that failed, and watches that ended in an error
  std::string last_error;              // for a person; "" once a list or a watch succeeded again
};

// The way to the server; the client's Stream(), or a script.
using Transport = std::function<Result<kube::Response>(const kube::Request&,
                                                       const kube::StreamEvents&, Duration idle)>;

struct ReflectorOptions {
  int page_size = 500;
  // A silent watch is confirmed after so long: longer than the minute between two bookmarks.
  Duration idle = std::chrono::seconds(90);
  // For how long a watch is asked for: between this and twice this.
  Duration watch_time = std::chrono::minutes(5);
  Duration backoff_first = std::chrono::milliseconds(200);
  Duration backoff_most = std::chrono::seconds(10);
  Duration look_again = std::chrono::seconds(10);  // for a resource that is not installed
  bool try_initial_events = true;                  // sendInitialEvents
  unsigned seed = std::random_device{}();          // of the jitter
};

// Not thread-safe; no thread, no waiting: a caller steps it (RunReflector, or a test).
class Reflector {
 public:
  using OnState = std::function<void(const WatchState&)>;
  // All must outlive it. `on_state` hears of each change, on the same thread; may be empty.
  Reflector(Resource resource, Transport transport, ObjectSink& sink, Clock& clock,
            ReflectorOptions options, OnState on_state = {});
  ~Reflector();

  // One request, to its end: a page of a list, or a watch for as long as it lasts. Returns how long
  // to wait before the next step.
  Duration Step();

  const WatchState& state() const;
  const Resource& resource() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Steps a reflector on `client` until the token says stop, within moments of it.
void RunReflector(const Resource& resource, kube::Client& client, ObjectSink& sink,
                  const ReflectorOptions& options, const Reflector::OnState& on_state,
                  const std::stop_token& stop);

}  // namespace sallyport::watch

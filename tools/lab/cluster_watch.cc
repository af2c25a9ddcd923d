// SPDX-License-Identifier: Apache-2.0
#include "lab/cluster_watch.h"

#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "watch/reflector.h"

namespace sallyport::lab {

class ClusterWatch::Impl {
 public:
  Impl(kube::Client& client, std::vector<Followed> followed, std::function<void()> bell)
      : client_(client), bell_(std::move(bell)) {
    for (Followed& each : followed) sinks_.push_back(std::make_unique<Sink>(this, std::move(each)));
    for (auto& sink : sinks_)
      threads_.emplace_back(
          [this, sink = sink.get()](const std::stop_token& stop) { sink->Run(client_, stop); });
  }

  ~Impl() {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
  }

  Cluster Now() const {
    std::lock_guard lock(mutex_);
    return cluster_;
  }

  bool synced() const {
    std::lock_guard lock(mutex_);
    for (const auto& sink : sinks_)
      if (!sink->synced) return false;
    return true;
  }

  std::string Trouble() const {
    std::lock_guard lock(mutex_);
    for (const auto& sink : sinks_)
      if (!sink->trouble.empty()) return sink->trouble;
    return "";
  }

  void Learn(const std::string& kind, Value object) {
    std::lock_guard lock(mutex_);
    for (const auto& sink : sinks_)
      if (sink->followed.kind == kind) sink->learned.insert(KeyOf(object, kind));
    cluster_.Set(kind, std::move(object));
  }

  void Unlearn(const std::string& kind, const model::ObjectName& name, const std::string& uid) {
    std::lock_guard lock(mutex_);
    cluster_.Remove(kind, name, uid);
  }

 private:
  // One kind, on its reflector's thread.
  struct Sink : watch::ObjectSink {
    Sink(Impl* to, Followed what) : owner(to), followed(std::move(what)) {}

    void Run(kube::Client& client, const std::stop_token& stop) {
      const KindInfo& kind = *FindKind(followed.kind);
      watch::ReflectorOptions options;
      options.backoff_most = std::chrono::seconds(2);
      auto on_state = [this](const watch::WatchState& state) {
        std::lock_guard lock(owner->mutex_);
        trouble = state.last_error;
        if (!state.installed) synced = true;
      };
      watch::RunReflector({kind.plural, CollectionPath(kind, ""), followed.query}, client, *this,
                          options, on_state, stop);
    }

    void BeginList() override {
      std::lock_guard lock(owner->mutex_);
      seen.clear();
      learned.clear();
    }

    void Set(std::string_view text) override {
      auto object = Parse(text);
      if (!object) return;
      std::lock_guard lock(owner->mutex_);
      seen.insert(KeyOf(*object, followed.kind));
      owner->cluster_.Set(followed.kind, *std::move(object));
    }

    void Remove(std::string_view text) override {
      auto object = Parse(text);
      if (!object) return;
      std::lock_guard lock(owner->mutex_);
      owner->cluster_.Remove(followed.kind, KeyOf(*object, followed.kind), UidOf(*object));
    }

    void EndList() override {
      {
        std::lock_guard lock(owner->mutex_);
        std::vector<model::ObjectName> gone;
        for (const auto& [name, object] : owner->cluster_.Of(followed.kind))
          if (!seen.contains(name) && !learned.contains(name)) gone.push_back(name);
        for (const model::ObjectName& name : gone) owner->cluster_.Remove(followed.kind, name, "");
        synced = true;
      }
      owner->bell_();
    }

    void Flush() override { owner->bell_(); }

    Result<Value> Parse(std::string_view text) const {
      auto object = FromJson(text, followed.kind);
      if (!object) return object;
      lab::Set(*object, "apiVersion", String(FindKind(followed.kind)->api_version));
      lab::Set(*object, "kind", String(followed.kind));
      return object;
    }

    Impl* owner;
    Followed followed;
    std::set<model::ObjectName> seen;     // by the list under way
    std::set<model::ObjectName> learned;  // since it began: the list may not have them yet
    bool synced = false;
    std::string trouble;
  };

  kube::Client& client_;
  std::function<void()> bell_;
  mutable std::mutex mutex_;
  Cluster cluster_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::vector<std::jthread> threads_;
};

ClusterWatch::ClusterWatch(kube::Client& client, std::vector<Followed> followed,
                           std::function<void()> bell)
    : impl_(std::make_unique<Impl>(client, std::move(followed), std::move(bell))) {}
ClusterWatch::~ClusterWatch() = default;
Cluster ClusterWatch::Now() const { return impl_->Now(); }
bool ClusterWatch::synced() const { return impl_->synced(); }
std::string ClusterWatch::Trouble() const { return impl_->Trouble(); }
void ClusterWatch::Learn(const std::string& kind, Value object) {
  impl_->Learn(kind, std::move(object));
}
void ClusterWatch::Unlearn(const std::string& kind, const model::ObjectName& name,
                           const std::string& uid) {
  impl_->Unlearn(kind, name, uid);
}

}  // namespace sallyport::lab

// SPDX-License-Identifier: Apache-2.0
#include "watch/reflector.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include "watch/api_messages.h"
#include "watch/json_stream.h"

namespace sallyport::watch {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

constexpr int kGone = 410, kNotFound = 404, kUnprocessable = 422, kTooManyRequests = 429;
constexpr int kBadGateway = 502, kUnavailable = 503, kGatewayTimeout = 504;
// A list as initial events is given up after so long without one: a server that does not know the
// parameters leaves the stream open, and never says where the list ends.
constexpr Duration kInitialIdle = seconds(15);
// The same may be a server that hangs: only one that does it again is one that does not know them.
constexpr int kEndlessLists = 2;
// A server that works answers within so long, though a watch may then tell nothing for minutes.
constexpr Duration kAnswer = seconds(20);
// A watch that lasted so long, or told something, was one.
constexpr Duration kRealWatch = seconds(5);
// A server that left so many requests in a row without an answer was away.
constexpr int kAway = 3;
// After so many refusals the version may be what is refused: it is asked for anew.
constexpr int kRefusals = 5;
// How many objects of initial events are passed on at once.
constexpr int kBatch = 500;
// The longest pause that a server may ask for: what answers in its stead while it is away may ask
// for an hour.
constexpr Duration kMostPause = seconds(30);

// What is said by something in the server's place, or by one that is not ready yet.
bool IsInItsPlace(int code) { return code >= kBadGateway && code <= kUnavailable; }
// What a server may say when it is the version that it cannot make sense of.
bool MayMeanVersion(int code) { return code == 400 || code == kUnprocessable || code == 500; }

}  // namespace

class Reflector::Impl {
 public:
  Impl(Resource resource, Transport transport, ObjectSink& sink, Clock& clock,
       ReflectorOptions options, OnState on_state)
      : resource_(std::move(resource)),
        transport_(std::move(transport)),
        sink_(sink),
        clock_(clock),
        options_(options),
        on_state_(std::move(on_state)),
        backoff_(options.backoff_first, options.backoff_most, options.seed),
        random_(options.seed),
        initial_events_(options.try_initial_events) {
    state_.lost = clock_.WallNow();
  }

  Duration Step() {
    switch (phase_) {
      case Phase::kList:
        return initial_events_ ? ListByEvents() : ListPage();
      case Phase::kConfirm:
        return Confirm();
      default:
        return Watch();
    }
  }

  const WatchState& state() const { return state_; }
  const Resource& resource() const { return resource_; }

 private:
  enum class Phase { kList, kConfirm, kWatch };
  // What a watch told.
  struct Told {
    bool opened = false, anything = false, listed = false, enough = false;
    int untold = 0;                   // since the last Flush
    std::optional<ApiStatus> failed;  // by an ERROR event
    std::optional<Error> broken;      // not the API's language
  };

  kube::Request Ask(const std::string& parameters) const;
  kube::Request AskToWatch(const std::string& from, Duration time) const;
  Duration WatchTime();
  bool IsAbsent(const kube::Response& response) const {
    return response.status == kNotFound && resource_.optional && SaysAbsent(response.body);
  }
  Duration ListPage();
  Duration ListByEvents();
  Duration Confirm();
  Duration Watch();
  Result<kube::Response> Send(const kube::Request& request, const kube::StreamEvents& events,
                              Duration idle);
  void Answered();
  Result<kube::Response> Follow(const kube::Request& request, Duration idle, bool initial,
                                Told& told);
  void TakeEvent(std::string_view type, std::string_view object, bool initial, Told& told);

  void Begin();
  void GiveUpPages();
  void Listed(const std::string& version);
  Duration StartAgain(const std::string& why);
  Duration NotInstalled();
  Duration Refused(const char* doing, const kube::Response& response);
  Duration Failed(const char* doing, const std::string& why, Duration at_least = {});
  Duration WatchBroke(const Error& error);
  Duration WatchFailed(const ApiStatus& status);
  Duration WatchEnded(const kube::Response& response, const Told& told, bool real, bool early);
  void Closed();
  void Heard();
  void Tell() {
    if (on_state_) on_state_(state_);
  }

  const Resource resource_;
  const Transport transport_;
  ObjectSink& sink_;
  Clock& clock_;
  const ReflectorOptions options_;
  const OnState on_state_;
  Backoff backoff_;
  std::minstd_rand random_;

  Phase phase_ = Phase::kList;
  bool initial_events_;    // the server has them, as far as is known
  bool listing_ = false;   // Begin was, the end was not
  bool all_pages_ = true;  // in pages; false: at once
  std::string continue_;
  std::string version_;
  std::optional<std::string> broke_at_;  // the version after which a watch made no sense
  bool opened_before_ = false;
  int endless_lists_ = 0;  // initial events whose end never came
  int refusals_ = 0;       // one after the other
  int unanswered_ = 0;     // requests one after the other; or answered in the server's place
  WatchState state_;
};

kube::Request Reflector::Impl::Ask(const std::string& parameters) const {
  std::string query = resource_.query;
  if (!query.empty() && !parameters.empty()) query += '&';
  query += parameters;
  kube::Request request;
  request.path = resource_.path + (query.empty() ? "" : "?" + query);
  return request;
}

// The pauses grew for a server that was away: what it says now that it is back, that our version is
// not of its history say, is not to be followed up in such steps.
void Reflector::Impl::Answered() {
  if (std::exchange(unanswered_, 0) >= kAway) backoff_.Reset();
}

Result<kube::Response> Reflector::Impl::Send(const kube::Request& request,
                                             const kube::StreamEvents& events, Duration idle) {
  auto response = transport_(request, events, idle);
  bool stopped = !response && response.error().code == kube::kStopped;
  if (stopped || (response && !IsInItsPlace(response->status)))
    Answered();
  else
    ++unanswered_;
  return response;
}

// The server ends it by itself after `time`.
kube::Request Reflector::Impl::AskToWatch(const std::string& from, Duration time) const {
  auto length = std::to_string(duration_cast<seconds>(time).count());
  kube::Request request =
      Ask("watch=true&allowWatchBookmarks=true&timeoutSeconds=" + length + "&" + from);
  request.answer_within = kAnswer;
  return request;
}

Duration Reflector::Impl::WatchTime() {
  auto least = duration_cast<seconds>(options_.watch_time).count();
  std::uniform_int_distribution<int64_t> time(least, 2 * least);
  return seconds(time(random_));
}

void Reflector::Impl::Begin() {
  if (!std::exchange(listing_, true)) sink_.BeginList();
}

// By the time that a failure is over, what was listed may be gone, and the pages to come may be
// those of another history: the token means something to the server that gave it only.
void Reflector::Impl::GiveUpPages() {
  listing_ = false;
  continue_.clear();
}

void Reflector::Impl::Heard() {
  state_.last_event = clock_.WallNow();
  state_.last_error.clear();
  refusals_ = 0;
}

void Reflector::Impl::Closed() {
  state_.connected = false;
  if (!state_.lost) state_.lost = clock_.WallNow();
}

void Reflector::Impl::Listed(const std::string& version) {
  sink_.EndList();
  sink_.Flush();
  listing_ = false;
  all_pages_ = true;
  continue_.clear();
  version_ = version;
  phase_ = Phase::kWatch;
  state_.installed = true;
  if (state_.synced) ++state_.relists;
  state_.synced = true;
  if (endless_lists_ > 0 && endless_lists_ < kEndlessLists) initial_events_ = true;
  Heard();
  Tell();
}

// What was listed by now may be older than what follows. A server that refuses again and again what
// it just listed is not pressed: no list resets the pauses.
Duration Reflector::Impl::StartAgain(const std::string& why) {
  phase_ = Phase::kList;
  listing_ = false;
  continue_.clear();
  Closed();
  state_.last_error = resource_.name + " are listed again: " + why;
  Tell();
  return backoff_.Next();
}

Duration Reflector::Impl::Failed(const char* doing, const std::string& why, Duration at_least) {
  ++state_.errors;
  Closed();
  state_.last_error = std::string(doing) + " " + resource_.name + ": " + why;
  Tell();
  return std::max(at_least, backoff_.Next());
}

Duration Reflector::Impl::Refused(const char* doing, const kube::Response& response) {
  ++refusals_;
  return Failed(doing, Describe(response.status, ReadStatus(response.body)),
                std::min(response.retry_after.value_or(Duration::zero()), kMostPause));
}

Duration Reflector::Impl::NotInstalled() {
  if (!state_.synced) {
    if (!continue_.empty()) GiveUpPages();  // those that came are gone as well
    Begin();
    Listed("");
  }
  phase_ = Phase::kList;
  listing_ = false;
  continue_.clear();
  state_.installed = false;
  state_.connected = false;
  state_.lost.reset();
  state_.last_error.clear();
  Tell();
  return options_.look_again;
}

Duration Reflector::Impl::ListPage() {
  std::string parameters = all_pages_ ? "limit=" + std::to_string(options_.page_size) : "";
  if (!continue_.empty()) parameters += "&continue=" + kube::EncodeUrl(continue_);
  Begin();
  ListSplitter splitter([this](std::string_view item) { sink_.Set(item); });
  Status fed;
  auto bytes = [&](std::string_view piece) {
    fed = splitter.Feed(piece);
    return fed.ok();
  };
  auto response = Send(Ask(parameters), {{}, bytes}, options_.idle);
  sink_.Flush();
  auto failed = [this](const Error& error) {
    GiveUpPages();
    return Failed("listing", error.message);
  };
  if (!fed) return failed(fed.error());
  if (!response) return failed(response.error());
  if (IsAbsent(*response)) return NotInstalled();
  if (response->status == kGone && !continue_.empty()) {
    // The token that comes along would go on with newer objects, and what was deleted among those
    // listed already would never be told of: everything again, at once.
    all_pages_ = false;
    return StartAgain("the list took longer than the server remembers");
  }
  if (!response->ok()) {
    bool later = response->status == kTooManyRequests || response->status == kUnavailable;
    if (!later || refusals_ >= kRefusals) GiveUpPages();
    return Refused("listing", *response);
  }
  auto position = splitter.Finish();
  if (!position) return failed(position.error());
  refusals_ = 0;
  continue_ = position->continue_token;
  if (continue_.empty()) Listed(position->resource_version);
  return Duration::zero();
}

// "sendInitialEvents=true ... the watch stream will begin with synthetic events to produce the
// current state of objects in the collection"
Duration Reflector::Impl::ListByEvents() {
  Begin();
  Told told;
  auto response =
      Follow(AskToWatch("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", WatchTime()),
             kInitialIdle, true, told);
  sink_.Flush();
  if (told.listed) {
    Listed(version_);
    return Duration::zero();
  }
  listing_ = false;
  if (told.broken) {
    ++endless_lists_;
    initial_events_ = false;  // pages leave out what makes no sense
    return Failed("listing", told.broken->message);
  }
  if (told.failed) return Failed("listing", Describe(told.failed->code, *told.failed));
  bool silent = told.opened && !response && response.error().code == ETIMEDOUT;
  if (!response && !silent) return Failed("listing", response.error().message);
  if (silent) ++endless_lists_;
  // Older servers refuse what they do not have, or ignore it and never tell the end.
  if (silent || response->ok() || response->status == kUnprocessable || response->status == 400) {
    initial_events_ = false;
    return Duration::zero();
  }
  if (IsAbsent(*response)) return NotInstalled();
  return Refused("listing", *response);
}

// Whether the server knows of our version. One whose history was lost may begin anew below it, and
// would leave us waiting for what it told already: of a future version it watches in silence.
Duration Reflector::Impl::Confirm() {
  std::string body;
  auto bytes = [&](std::string_view piece) { return body.append(piece).size() <= kMaxObjectText; };
  auto response = Send(
      Ask("limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=" + kube::EncodeUrl(version_)),
      {{}, bytes}, kAnswer);
  if (!response) return Failed("watching", response.error().message);
  if (IsAbsent(*response)) return NotInstalled();
  bool unknown = response->status == kGatewayTimeout;
  if (response->status == kGone || (unknown && refusals_ > 0)) {
    return StartAgain("the server has another history");
  }
  if (!response->ok()) {
    if (MayMeanVersion(response->status) && refusals_ >= kRefusals)
      return StartAgain("the server refuses its version");
    return Refused("watching", *response);
  }
  EventMeta list = ReadMeta(body);
  if (IsOlder(list.version, version_)) return StartAgain("the server has another history");
  refusals_ = 0;
  phase_ = Phase::kWatch;
  return Duration::zero();
}

void Reflector::Impl::TakeEvent(std::string_view type, std::string_view object, bool initial,
                                Told& told) {
  if (type == "ERROR") {
    told.failed = ReadStatus(object);
    told.enough = true;
    return;
  }
  bool set = type == "ADDED" || type == "MODIFIED";
  if (!set && type != "DELETED" && type != "BOOKMARK") return;
  EventMeta meta = ReadMeta(object);
  if (set) sink_.Set(object);
  if (type == "DELETED") sink_.Remove(object);
  if (!meta.version.empty()) version_ = meta.version;
  told.anything = true;
  if (initial) {
    if (++told.untold % kBatch == 0) sink_.Flush();
    told.listed = told.enough = type == "BOOKMARK" && meta.ends_initial;
    return;
  }
  ++state_.events;
  Heard();
  backoff_.Reset();
}

Result<kube::Response> Reflector::Impl::Follow(const kube::Request& request, Duration idle,
                                               bool initial, Told& told) {
  EventSplitter splitter([&](std::string_view type, std::string_view object) {
    TakeEvent(type, object, initial, told);
    return !told.enough;
  });
  kube::StreamEvents events;
  events.opened = [&] {
    told.opened = true;
    Answered();
    if (initial) return;
    if (std::exchange(opened_before_, true)) ++state_.reconnects;
    state_.connected = true;
    state_.lost.reset();
    state_.last_error.clear();
    Tell();
  };
  events.bytes = [&](std::string_view bytes) {
    auto more = splitter.Feed(bytes);
    if (!more) told.broken = more.error();
    if (!initial) {
      sink_.Flush();
      Tell();
    }
    return more && *more;
  };
  auto response = Send(request, events, idle);
  if (response && response->ok() && splitter.cut()) {
    return Error{"the last event was cut off", ECONNRESET};
  }
  return response;
}

Duration Reflector::Impl::Watch() {
  Told told;
  MonotonicTime begun = clock_.Now();
  Duration time = WatchTime();
  auto response = Follow(AskToWatch("resourceVersion=" + kube::EncodeUrl(version_), time),
                         options_.idle, false, told);
  Closed();
  Duration lasted = clock_.Now() - begun;
  bool real = told.opened && (told.anything || lasted >= kRealWatch);
  if (real) backoff_.Reset();
  if (told.broken) return WatchBroke(*told.broken);
  if (told.failed) return WatchFailed(*told.failed);
  if (response) return WatchEnded(*response, told, real, lasted + kRealWatch < time);
  phase_ = Phase::kConfirm;
  // Where nothing happens, nothing is told, bookmarks neither: no failure, if the server answers.
  bool quiet = real && response.error().code == ETIMEDOUT;
  if (!quiet) return Failed("watching", response.error().message);
  Tell();
  return Duration::zero();
}

// Once it may have been the way. What makes no sense a second time is left out by a list.
Duration Reflector::Impl::WatchBroke(const Error& error) {
  if (broke_at_ == version_) return StartAgain(error.message);
  broke_at_ = version_;
  phase_ = Phase::kConfirm;
  return Failed("watching", error.message);
}

// By an ERROR event.
Duration Reflector::Impl::WatchFailed(const ApiStatus& status) {
  ++refusals_;
  bool later = status.code == kTooManyRequests || status.code >= 500;
  if (!later || (MayMeanVersion(status.code) && refusals_ >= kRefusals)) {
    return StartAgain(Describe(status.code, status));
  }
  return Failed("watching", Describe(status.code, status));
}

Duration Reflector::Impl::WatchEnded(const kube::Response& response, const Told& told, bool real,
                                     bool early) {
  if (response.status == kGone) return StartAgain("the server no longer has its version");
  if (IsAbsent(response)) return NotInstalled();
  if (!response.ok()) {
    if (MayMeanVersion(response.status) && refusals_ >= kRefusals)
      return StartAgain("the server refuses its version");
    if (IsInItsPlace(response.status)) phase_ = Phase::kConfirm;  // who comes may be another
    return Refused("watching", response);
  }
  // In good order: every watch ends some time. One that told nothing proves nothing, and one that
  // ends before its time may be the end of the server: another may stand in its place.
  if (!told.anything || early) phase_ = Phase::kConfirm;
  Tell();
  return real ? Duration::zero() : backoff_.Next();
}

Reflector::Reflector(Resource resource, Transport transport, ObjectSink& sink, Clock& clock,
                     ReflectorOptions options, OnState on_state)
    : impl_(std::make_unique<Impl>(std::move(resource), std::move(transport), sink, clock, options,
                                   std::move(on_state))) {}
Reflector::~Reflector() = default;

Duration Reflector::Step() { return impl_->Step(); }
const WatchState& Reflector::state() const { return impl_->state(); }
const Resource& Reflector::resource() const { return impl_->resource(); }

void RunReflector(const Resource& resource, kube::Client& client, ObjectSink& sink,
                  const ReflectorOptions& options, const Reflector::OnState& on_state,
                  const std::stop_token& stop) {
  Transport transport = [&](const kube::Request& request, const kube::StreamEvents& events,
                            Duration idle) { return client.Stream(request, events, idle, stop); };
  Reflector reflector(resource, std::move(transport), sink, SystemClock(), options, on_state);
  std::mutex mutex;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    Duration wait = reflector.Step();
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, wait, [] { return false; });
  }
}

}  // namespace sallyport::watch

// SPDX-License-Identifier: Apache-2.0
#include "watch/reflector.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include "watch/json_stream.h"

namespace sallyport::watch {
namespace {

using std::chrono::duration_cast;
using std::chrono::seconds;

constexpr int kGone = 410, kNotFound = 404, kUnprocessable = 422, kTooManyRequests = 429;
constexpr int kGatewayTimeout = 504;
// A list as initial events is given up after so long without one: a server that does not know the
// parameters leaves the stream open, and never says where the list ends.
constexpr Duration kInitialIdle = seconds(15);
// A watch that lasted so long, or told something, was one.
constexpr Duration kRealWatch = seconds(5);
// After so many refusals the version may be what is refused: it is asked for anew.
constexpr int kRefusals = 5;
// How many objects of initial events are passed on at once.
constexpr int kBatch = 500;

constexpr std::string_view kInitialEventsEnd = "k8s.io/initial-events-end";

// What a server may say when it is the version that it cannot make sense of.
bool MayMeanVersion(int code) { return code == 400 || code == kUnprocessable || code == 500; }

// A failure as the API says it: meta/v1 Status.
struct ApiStatus {
  int code = 0;
  std::string reason, message;
};

ApiStatus ReadStatus(std::string_view text) {
  ApiStatus out;
  EachMember(text, [&](std::string_view key, std::string_view value) {
    if (key == "code") std::from_chars(value.data(), value.data() + value.size(), out.code);
    if (key == "reason") out.reason = PlainString(value);
    // Escapes stay as they are: it is for a person.
    if (key == "message" && value.size() >= 2) out.message = value.substr(1, value.size() - 2);
  });
  return out;
}

std::string Describe(int code, const ApiStatus& status) {
  std::string out = "the server answered " + std::to_string(code);
  if (!status.reason.empty()) out += " " + status.reason;
  if (!status.message.empty()) out += ": " + status.message;
  if (code == 401) out += " (is the token or the client certificate still good?)";
  if (code == 403) out += " (does the role allow list and watch?)";
  return out;
}

// metadata of an object: its version, and whether it ends the initial events.
struct EventMeta {
  std::string version;
  bool ends_initial = false;
};

EventMeta ReadMeta(std::string_view object) {
  EventMeta out;
  EachMember(object, [&](std::string_view key, std::string_view value) {
    if (key != "metadata") return;
    out.version = ReadPosition(value).resource_version;
    EachMember(value, [&](std::string_view field, std::string_view annotations) {
      if (field != "annotations") return;
      EachMember(annotations, [&](std::string_view name, std::string_view text) {
        out.ends_initial |= name == kInitialEventsEnd && PlainString(text) == "true";
      });
    });
  });
  return out;
}

// Both as numbers where both are; the server compares them so.
bool IsOlder(const std::string& a, const std::string& b) {
  uint64_t left = 0, right = 0;
  auto parse = [](const std::string& text, uint64_t& out) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
  };
  return parse(a, left) && parse(b, right) && left < right;
}

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
    bool anything = false, listed = false, enough = false;
    int untold = 0;                   // since the last Flush
    std::optional<ApiStatus> failed;  // by an ERROR event
    std::optional<Error> broken;      // not the API's language
  };

  kube::Request Ask(const std::string& parameters) const;
  std::string WatchParameters();
  Duration ListPage();
  Duration ListByEvents();
  Duration Confirm();
  Duration Watch();
  Result<kube::Response> Follow(const kube::Request& request, Duration idle, bool initial,
                                Told& told);
  void TakeEvent(std::string_view type, std::string_view object, bool initial, Told& told);

  void Begin();
  void Listed(const std::string& version);
  Duration StartAgain(const std::string& why);
  Duration NotInstalled();
  Duration Refused(const char* doing, const kube::Response& response);
  Duration Failed(const char* doing, const std::string& why, Duration at_least = {});
  Duration WatchEnded(const kube::Response& response, const Told& told, MonotonicTime opened);
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
  bool opened_before_ = false;
  int refusals_ = 0;  // one after the other
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

std::string Reflector::Impl::WatchParameters() {
  auto least = duration_cast<seconds>(options_.watch_time).count();
  std::uniform_int_distribution<int64_t> time(least, 2 * least);
  return "watch=true&allowWatchBookmarks=true&timeoutSeconds=" + std::to_string(time(random_));
}

void Reflector::Impl::Begin() {
  if (!std::exchange(listing_, true)) sink_.BeginList();
}

void Reflector::Impl::Heard() {
  state_.last_event = clock_.WallNow();
  state_.last_error.clear();
  refusals_ = 0;
  backoff_.Reset();
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
  Heard();
  Tell();
}

// What was listed by now may be older than what follows.
Duration Reflector::Impl::StartAgain(const std::string& why) {
  phase_ = Phase::kList;
  listing_ = false;
  continue_.clear();
  state_.connected = false;
  if (!state_.lost) state_.lost = clock_.WallNow();
  if (!why.empty()) state_.last_error = resource_.name + " are listed again: " + why;
  Tell();
  return Duration::zero();
}

Duration Reflector::Impl::Failed(const char* doing, const std::string& why, Duration at_least) {
  ++state_.errors;
  state_.connected = false;
  if (!state_.lost) state_.lost = clock_.WallNow();
  state_.last_error = std::string(doing) + " " + resource_.name + ": " + why;
  Tell();
  return std::max(at_least, backoff_.Next());
}

Duration Reflector::Impl::Refused(const char* doing, const kube::Response& response) {
  ++refusals_;
  return Failed(doing, Describe(response.status, ReadStatus(response.body)),
                response.retry_after.value_or(Duration::zero()));
}

Duration Reflector::Impl::NotInstalled() {
  if (!state_.synced) {
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
  auto response = transport_(Ask(parameters), {{}, bytes}, options_.idle);
  sink_.Flush();
  if (!fed) return Failed("listing", fed.error().message);
  if (!response) return Failed("listing", response.error().message);
  if (response->status == kNotFound && resource_.optional) return NotInstalled();
  if (response->status == kGone && !continue_.empty()) {
    // The token that comes along would go on with newer objects, and what was deleted among those
    // listed already would never be told of: everything again, at once.
    all_pages_ = false;
    return StartAgain("the list took longer than the server remembers");
  }
  if (!response->ok()) return Refused("listing", *response);
  auto position = splitter.Finish();
  if (!position) return Failed("listing", position.error().message);
  if (position->continue_token.empty()) {
    Listed(position->resource_version);
    return Duration::zero();
  }
  continue_ = position->continue_token;
  backoff_.Reset();
  return Duration::zero();
}

// "sendInitialEvents=true ... the watch stream will begin with synthetic events to produce the
// current state of objects in the collection"
Duration Reflector::Impl::ListByEvents() {
  Begin();
  Told told;
  auto response =
      Follow(Ask(WatchParameters() + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
             kInitialIdle, true, told);
  sink_.Flush();
  if (told.listed) {
    Listed(version_);
    return Duration::zero();
  }
  listing_ = false;
  if (told.broken) return Failed("listing", told.broken->message);
  if (told.failed) return Failed("listing", Describe(told.failed->code, *told.failed));
  bool silent = !response && response.error().code == ETIMEDOUT;
  if (!response && !silent) return Failed("listing", response.error().message);
  // Older servers refuse what they do not have, or ignore it and never tell the end.
  if (silent || response->ok() || response->status == kUnprocessable || response->status == 400) {
    initial_events_ = false;
    return Duration::zero();
  }
  if (response->status == kNotFound && resource_.optional) return NotInstalled();
  return Refused("listing", *response);
}

// Whether the server knows of our version. One whose history was lost may begin anew below it, and
// would leave us waiting for what it told already: of a future version it watches in silence.
Duration Reflector::Impl::Confirm() {
  std::string body;
  auto bytes = [&](std::string_view piece) {
    body.append(piece);
    return body.size() <= kMaxObjectText;
  };
  auto response = transport_(
      Ask("limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=" + kube::EncodeUrl(version_)),
      {{}, bytes}, options_.idle);
  if (!response) return Failed("watching", response.error().message);
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
}

Result<kube::Response> Reflector::Impl::Follow(const kube::Request& request, Duration idle,
                                               bool initial, Told& told) {
  EventSplitter splitter([&](std::string_view type, std::string_view object) {
    TakeEvent(type, object, initial, told);
    return !told.enough;
  });
  kube::StreamEvents events;
  events.opened = [&] {
    if (initial) return;
    if (std::exchange(opened_before_, true)) ++state_.reconnects;
    state_.connected = true;
    state_.lost.reset();
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
  auto response = transport_(request, events, idle);
  if (response && response->ok() && splitter.cut()) {
    return Error{"the last event was cut off", ECONNRESET};
  }
  return response;
}

Duration Reflector::Impl::Watch() {
  Told told;
  MonotonicTime begun = clock_.Now();
  auto response = Follow(Ask(WatchParameters() + "&resourceVersion=" + kube::EncodeUrl(version_)),
                         options_.idle, false, told);
  state_.connected = false;
  if (told.broken) {
    phase_ = Phase::kConfirm;
    return Failed("watching", told.broken->message);
  }
  if (told.failed) {
    ++refusals_;
    int code = told.failed->code;
    bool later = code == kTooManyRequests || code >= 500;
    if (!later || (MayMeanVersion(code) && refusals_ >= kRefusals)) {
      Duration wait = StartAgain(Describe(code, *told.failed));
      return code == kGone && told.anything ? wait : backoff_.Next();
    }
    return Failed("watching", Describe(code, *told.failed));
  }
  if (!response) {
    phase_ = Phase::kConfirm;
    return Failed("watching", response.error().message);
  }
  return WatchEnded(*response, told, begun);
}

Duration Reflector::Impl::WatchEnded(const kube::Response& response, const Told& told,
                                     MonotonicTime opened) {
  if (response.status == kGone) return StartAgain("the server no longer has its version");
  if (response.status == kNotFound && resource_.optional) return NotInstalled();
  if (!response.ok()) {
    if (MayMeanVersion(response.status) && refusals_ >= kRefusals) {
      return StartAgain("the server refuses its version");
    }
    return Refused("watching", response);
  }
  // In good order: every watch ends some time. One that told nothing proves nothing.
  if (!told.anything) phase_ = Phase::kConfirm;
  Tell();
  bool real = told.anything || clock_.Now() - opened >= kRealWatch;
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

// SPDX-License-Identifier: Apache-2.0
#include "apiserver/reader.h"

#include <algorithm>
#include <charconv>
#include <random>
#include <utility>

#include "apiserver/encoding.h"
#include "apiserver/forms.h"

namespace sallyport::apiserver {
namespace {

constexpr Duration kWaitForVersion = std::chrono::seconds(3);
constexpr Duration kBookmarkBeforeEnd = std::chrono::seconds(2);
constexpr size_t kBatch = 500;

std::shared_ptr<const std::string> Piece(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

std::optional<uint64_t> ParseVersion(const std::string& text) {
  uint64_t version = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return version;
}

// What a list or a watch selects.
struct Selection {
  std::string ns;
  model::Selector labels;
  std::vector<FieldRequirement> fields;

  bool All() const { return labels.MatchesEverything() && fields.empty(); }
  bool Matches(const Stored& object) const {
    return labels.Matches(object.labels) && Match(fields, object.fields);
  }
  bool MatchesHere(const Stored* object) const {
    return object && (ns.empty() || object->ns == ns) && Matches(*object);
  }
};

Selection SelectionOf(const Target& target, const Request& request) {
  Selection out;
  out.ns = target.ns;
  out.labels = ParseLabelSelector(request.Query("labelSelector"));
  out.fields = ParseFieldSelector(request.Query("fieldSelector"), target.kind->StoreKey());
  if (!target.name.empty()) out.fields.push_back({"metadata.name", target.name, true});
  return out;
}

// An object's text in the version that is asked for.
std::shared_ptr<const std::string> TextOf(const Kind& kind, const StoredPtr& object) {
  if (kind.version == kind.storage_version)
    return std::shared_ptr<const std::string>(object, &object->json);
  Value tree = ParseJsonText(object->json);
  Set(tree, "apiVersion", String(kind.ApiVersion()));
  return Piece(ToJson(tree));
}

struct Versions {
  std::optional<uint64_t> at;  // exact
  uint64_t at_least = 0;
  std::string after;            // key
  std::optional<int64_t> left;  // how many there are after it
};

Failure BadListOption(const std::string& field, const std::string& value, const std::string& why) {
  return Invalid("meta.k8s.io", "ListOptions", "", {BadValue(field, value, why)});
}

// The token that goes on with a list: base64url of
// {"v":"meta.k8s.io/v1","rv":7,"start":"ns/name","left":12}; `left` where it is known.
std::string ContinueToken(int64_t version, const std::string& after, std::optional<int64_t> left) {
  return EncodeBase64Url(R"({"v":"meta.k8s.io/v1","rv":)" + std::to_string(version) +
                         ",\"start\":" + Quote(after) +
                         (left ? ",\"left\":" + std::to_string(*left) : "") + "}");
}

Versions VersionsOf(const Request& request) {
  Versions out;
  std::string text = request.Query("resourceVersion");
  std::string match = request.Query("resourceVersionMatch");
  if (std::string token = request.Query("continue"); !token.empty()) {
    if (!text.empty() && text != "0")
      throw BadRequest("specifying resource version is not allowed when using continue");
    auto json = DecodeBase64Url(token);
    Failure broken = BadRequest("continue key is not valid: it is not a token of this server");
    if (!json || json->empty() || json->front() != '{') throw broken;
    Value read = ParseJsonText(*json);
    auto version = IntegerAt(read, {"rv"});
    out.after = TextAt(read, {"start"});
    out.left = IntegerAt(read, {"left"});
    if (!version || out.after.empty()) throw broken;
    if (*version >= 0) out.at = static_cast<uint64_t>(*version);
    return out;
  }
  if (!match.empty() && match != "Exact" && match != "NotOlderThan")
    throw BadListOption("resourceVersionMatch", match, "supported values: Exact, NotOlderThan");
  if (!match.empty() && text.empty())
    throw Invalid("meta.k8s.io", "ListOptions", "",
                  {Prohibited("resourceVersionMatch",
                              "resourceVersionMatch is forbidden unless resourceVersion is "
                              "provided")});
  if (match == "Exact" && text == "0")
    throw Invalid("meta.k8s.io", "ListOptions", "",
                  {Prohibited("resourceVersionMatch",
                              "resourceVersionMatch \"exact\" is forbidden for resourceVersion "
                              "\"0\"")});
  if (text.empty() || text == "0") return out;
  auto version = ParseVersion(text);
  if (!version) throw BadListOption("resourceVersion", text, "must be a number");
  bool exact = match == "Exact" || (match.empty() && !request.Query("limit").empty());
  if (exact) out.at = version;
  out.at_least = *version;
  return out;
}

size_t LimitOf(const Request& request) {
  std::string text = request.Query("limit");
  if (text.empty() || text == "0") return SIZE_MAX;
  auto limit = ParseVersion(text);
  if (!limit) throw BadRequest("limit=" + text + ": not a number");
  return *limit;
}

// One Table for the whole list.
std::vector<std::shared_ptr<const std::string>> TablePieces(const Target& target,
                                                            const Request& request,
                                                            const Store::Listing& listing,
                                                            const std::string& metadata,
                                                            WallTime now) {
  std::vector<std::string> rows;
  for (const StoredPtr& object : listing.objects)
    rows.push_back(RowJson(*target.kind, ParseJsonText(*TextOf(*target.kind, object)),
                           request.Query("includeObject"), now));
  return {Piece(TableJson(ColumnsJson(*target.kind), metadata, rows))};
}

std::vector<std::shared_ptr<const std::string>> ListPieces(const Target& target, Form form,
                                                           const Store::Listing& listing,
                                                           const std::string& metadata) {
  static const auto comma = Piece(",");
  std::vector<std::shared_ptr<const std::string>> out;
  std::string kind = form == Form::kMetadata ? "PartialObjectMetadata" : target.kind->kind;
  std::string version = form == Form::kMetadata ? "meta.k8s.io/v1" : target.kind->ApiVersion();
  out.push_back(Piece("{\"kind\":\"" + kind + "List\",\"apiVersion\":\"" + version +
                      "\",\"metadata\":" + metadata + ",\"items\":["));
  for (size_t i = 0; i < listing.objects.size(); ++i) {
    if (i) out.push_back(comma);
    auto text = TextOf(*target.kind, listing.objects[i]);
    out.push_back(form == Form::kMetadata ? Piece(MetadataJson(ParseJsonText(*text))) : text);
  }
  out.push_back(Piece("]}\n"));
  return out;
}

// The events of one watch, as JSON lines.
class WatchStream : public Stream {
 public:
  struct Options {
    Target target;
    Selection selection;
    Form form = Form::kObject;
    std::string include;  // includeObject, of tables
    bool bookmarks = false;
    Duration bookmark_every{};
    MonotonicTime end;
    bool marks_initial_end = false;
  };

  WatchStream(Store& store, Clock& clock, Options options, uint64_t from)
      : store_(store),
        clock_(clock),
        options_(std::move(options)),
        resource_(options_.target.kind->StoreKey()),
        known_(from),
        marked_(from),
        next_mark_(clock.Now() + options_.bookmark_every) {}

  // The state that the watch begins with, as ADDED events.
  void Begin(Store::Listing listing) {
    initial_ = std::move(listing.objects);
    known_ = marked_ = listing.version;
    initial_version_ = listing.version;
    has_initial_ = true;
  }

  std::optional<std::string> Next(MonotonicTime until) override {
    if (over_) return std::nullopt;
    if (has_initial_) return NextInitial();
    MonotonicTime now = clock_.Now();
    if (now >= options_.end) {
      over_ = true;
      return std::nullopt;
    }
    Store::Changes news =
        store_.Read(resource_, known_, kBatch, std::min({until, options_.end, NextMark(now)}));
    if (news.expired) return Fail();
    std::string lines;
    for (const auto& change : news.changes) Add(*change, &lines);
    known_ = news.version;
    if (!news.changes.empty() && !lines.empty()) marked_ = known_;
    return lines + Mark();
  }

 private:
  std::string NextInitial() {
    std::string lines;
    size_t end = std::min(initial_at_ + kBatch, initial_.size());
    for (; initial_at_ < end; ++initial_at_) AddEvent("ADDED", initial_[initial_at_], &lines);
    if (initial_at_ < initial_.size()) return lines;
    has_initial_ = false;
    initial_.clear();
    if (options_.marks_initial_end)
      lines += Bookmark(initial_version_, R"(,"annotations":{"k8s.io/initial-events-end":"true"})");
    return lines;
  }

  std::string Fail() {
    over_ = true;
    Failure failure = Expired("too old resource version: " + std::to_string(known_) + " (" +
                              std::to_string(store_.Oldest(resource_)) + ")");
    return "{\"type\":\"ERROR\",\"object\":" + failure.ToJson() + "}\n";
  }

  void Add(const Change& change, std::string* lines) {
    bool before = options_.selection.MatchesHere(change.before.get());
    bool after = options_.selection.MatchesHere(change.after.get());
    if (after) {
      AddEvent(before ? "MODIFIED" : "ADDED", change.after, lines);
    } else if (before && change.gone) {
      AddEvent("DELETED", change.gone, lines);
    } else if (before) {
      // It left the selection: its last state there, with the version of the change.
      Value last = ParseJsonText(change.before->json);
      Set(Child(last, "metadata"), "resourceVersion", String(std::to_string(change.version)));
      auto left = std::make_shared<Stored>(*change.before);
      left->json = ToJson(last);
      AddEvent("DELETED", std::move(left), lines);
    }
  }

  void AddEvent(const char* type, const StoredPtr& object, std::string* lines) {
    const Kind& kind = *options_.target.kind;
    auto text = TextOf(kind, object);
    *lines += "{\"type\":\"";
    *lines += type;
    *lines += "\",\"object\":";
    if (options_.form == Form::kObject) {
      *lines += *text;
    } else if (options_.form == Form::kMetadata) {
      *lines += MetadataJson(ParseJsonText(*text));
    } else {
      *lines +=
          TableJson(told_columns_ ? "" : ColumnsJson(kind),
                    "{\"resourceVersion\":\"" + std::to_string(object->version) + "\"}",
                    {RowJson(kind, ParseJsonText(*text), options_.include, clock_.WallNow())});
      told_columns_ = true;
    }
    *lines += "}\n";
  }

  // When the next bookmark is due, if the version moves until then.
  MonotonicTime NextMark(MonotonicTime now) const {
    if (!options_.bookmarks) return options_.end;
    MonotonicTime last = options_.end - kBookmarkBeforeEnd;
    return last > now ? std::min(next_mark_, last) : next_mark_;
  }

  std::string Mark() {
    MonotonicTime now = clock_.Now();
    if (!options_.bookmarks) return "";
    bool near_end = !marked_end_ && now >= options_.end - kBookmarkBeforeEnd;
    if (now < next_mark_ && !near_end) return "";
    marked_end_ = marked_end_ || near_end;
    next_mark_ = now + options_.bookmark_every;
    if (known_ == marked_) return "";
    marked_ = known_;
    return Bookmark(known_, "");
  }

  std::string Bookmark(uint64_t version, const std::string& annotations) const {
    const Kind& kind = *options_.target.kind;
    std::string metadata = "{\"resourceVersion\":\"" + std::to_string(version) +
                           "\",\"creationTimestamp\":null" + annotations + "}";
    std::string object;
    if (options_.form == Form::kTable) {
      object = TableJson("", "{\"resourceVersion\":\"" + std::to_string(version) + "\"}", {});
    } else {
      // The server's stub of the kind: arrays are null.
      object = "{\"kind\":\"" + kind.kind + "\",\"apiVersion\":\"" + kind.ApiVersion() +
               "\",\"metadata\":" + metadata;
      if (kind.kind == "Pod" && kind.group.empty())
        object += R"(,"spec":{"containers":null},"status":{})";
      object += "}";
    }
    return "{\"type\":\"BOOKMARK\",\"object\":" + object + "}\n";
  }

  Store& store_;
  Clock& clock_;
  const Options options_;
  const std::string resource_;
  uint64_t known_;
  uint64_t marked_;
  MonotonicTime next_mark_;
  bool marked_end_ = false;
  bool told_columns_ = false;
  bool over_ = false;
  bool has_initial_ = false;
  std::vector<StoredPtr> initial_;
  size_t initial_at_ = 0;
  uint64_t initial_version_ = 0;
};

// Whether the watch begins with the current state; checks what goes together.
bool BeginsWithState(const Request& request, bool watch_list) {
  if (!request.HasQuery("sendInitialEvents")) {
    if (!request.Query("resourceVersionMatch").empty())
      throw Invalid("meta.k8s.io", "ListOptions", "",
                    {Prohibited("resourceVersionMatch",
                                "resourceVersionMatch is forbidden for watch unless "
                                "sendInitialEvents is provided")});
    std::string version = request.Query("resourceVersion");
    return version.empty() || version == "0";
  }
  if (!watch_list)
    throw Invalid("meta.k8s.io", "ListOptions", "",
                  {Prohibited("sendInitialEvents",
                              "sendInitialEvents is forbidden for watch unless the WatchList "
                              "feature gate is enabled")});
  if (request.Query("resourceVersionMatch") != "NotOlderThan")
    throw Invalid("meta.k8s.io", "ListOptions", "",
                  {Prohibited("resourceVersionMatch",
                              "sendInitialEvents requires setting resourceVersionMatch to "
                              "NotOlderThan")});
  return request.Query("sendInitialEvents") != "false";
}

Duration LifeOf(const Request& request) {
  std::string text = request.Query("timeoutSeconds");
  if (!text.empty()) {
    auto seconds = ParseVersion(text);
    if (!seconds) throw BadRequest("timeoutSeconds=" + text + ": not a number");
    if (*seconds > 0) return std::chrono::seconds(std::min<uint64_t>(*seconds, 86'400));
  }
  static thread_local std::minstd_rand random(std::random_device{}());
  return std::chrono::seconds(std::uniform_int_distribution<int>(1800, 3600)(random));
}

}  // namespace

Response Reader::Show(const Target& target, const Request& request, const std::string& json,
                      int code) const {
  Form form = FormOf(request.accept);
  if (form == Form::kObject && target.kind->version == target.kind->storage_version)
    return JsonResponse(json + "\n", code);
  Value object = ParseJsonText(json);
  if (TextAt(object, {"kind"}) == target.kind->kind)
    Set(object, "apiVersion", String(target.kind->ApiVersion()));
  if (form == Form::kObject) return JsonResponse(ToJson(object) + "\n", code);
  if (form == Form::kMetadata) return JsonResponse(MetadataJson(object) + "\n", code);
  std::string row = RowJson(*target.kind, object, request.Query("includeObject"), clock_.WallNow());
  std::string metadata =
      "{\"resourceVersion\":" + Quote(TextAt(object, {"metadata", "resourceVersion"})) + "}";
  return JsonResponse(TableJson(ColumnsJson(*target.kind), metadata, {row}) + "\n", code);
}

Response Reader::Get(const Target& target, const Request& request) const {
  StoredPtr object = store_.Get(target.kind->StoreKey(), target.ns, target.name);
  if (!object) throw NotFound(target.kind->Resource(), target.name);
  return Show(target, request, object->json);
}

Response Reader::List(const Target& target, const Request& request) const {
  Form form = FormOf(request.accept);
  Selection selection = SelectionOf(target, request);
  Versions versions = VersionsOf(request);
  if (!store_.WaitFor(std::max(versions.at_least, versions.at.value_or(0)),
                      clock_.Now() + kWaitForVersion)) {
    std::string message = "Too large resource version: " + request.Query("resourceVersion") +
                          ", current: " + std::to_string(store_.version());
    throw Failure{.code = 504,
                  .reason = "Timeout",
                  .message = "Timeout: " + message,
                  .causes = {{"ResourceVersionTooLarge", "Too large resource version", ""}},
                  .retry_after = 1};
  }
  Store::ListRequest asked;
  asked.ns = selection.ns;
  asked.after = versions.after;
  asked.limit = LimitOf(request);
  asked.at = versions.at;
  asked.count = selection.All() && versions.after.empty();
  if (!selection.All())
    asked.filter = [&](const Stored& object) { return selection.Matches(object); };
  Store::Listing listing = store_.List(target.kind->StoreKey(), asked);
  if (listing.expired && versions.after.empty())
    throw Expired("The resourceVersion for the provided list is too old.");
  if (listing.expired) {
    Failure failure = Expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.");
    failure.continue_token = ContinueToken(-1, versions.after, std::nullopt);
    throw failure;
  }
  std::string metadata = "{\"resourceVersion\":\"" + std::to_string(listing.version) + "\"";
  if (listing.more) {
    // Counted once, on the first page: the others are of the same version.
    std::optional<int64_t> left;
    if (asked.count) left = static_cast<int64_t>(listing.remaining);
    if (versions.left) left = *versions.left - static_cast<int64_t>(listing.objects.size());
    metadata +=
        ",\"continue\":\"" +
        ContinueToken(static_cast<int64_t>(listing.version), listing.objects.back()->Key(), left) +
        "\"";
    if (left) metadata += ",\"remainingItemCount\":" + std::to_string(*left);
  }
  metadata += "}";
  Response out;
  out.body = form == Form::kTable
                 ? TablePieces(target, request, listing, metadata, clock_.WallNow())
                 : ListPieces(target, form, listing, metadata);
  return out;
}

Response Reader::Watch(const Target& target, const Request& request) const {
  WatchStream::Options options{.target = target,
                               .selection = SelectionOf(target, request),
                               .form = FormOf(request.accept),
                               .include = request.Query("includeObject"),
                               .bookmarks = request.Query("allowWatchBookmarks") == "true" ||
                                            request.Query("allowWatchBookmarks") == "1",
                               .bookmark_every = options_.bookmark_every,
                               .end = clock_.Now() + LifeOf(request)};
  bool with_state = BeginsWithState(request, options_.watch_list);
  options.marks_initial_end =
      with_state && options.bookmarks && request.HasQuery("sendInitialEvents");
  uint64_t from = store_.version();
  if (std::string text = request.Query("resourceVersion"); !text.empty() && text != "0") {
    auto version = ParseVersion(text);
    if (!version)
      throw Failure{.code = 500,
                    .reason = "InternalError",
                    .message = "Internal error occurred: resourceVersion " + Quote(text) +
                               " is not a number"};
    from = *version;
  }
  auto stream = std::make_shared<WatchStream>(store_, clock_, options, from);
  if (with_state) {
    Store::ListRequest asked;
    asked.ns = target.ns;
    if (!options.selection.All())
      asked.filter = [&](const Stored& object) { return options.selection.Matches(object); };
    stream->Begin(store_.List(target.kind->StoreKey(), asked));
  }
  Response out;
  out.stream = std::move(stream);
  return out;
}

}  // namespace sallyport::apiserver

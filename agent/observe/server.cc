// SPDX-License-Identifier: Apache-2.0
#include "observe/server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/unique_fd.h"
#include "observe/json.h"
#include "observe/query.h"

namespace sallyport::observe {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr size_t kThreads = 12;
constexpr int kFollowers = 8;  // at most, so that threads are left for short questions
constexpr size_t kBatch = 64;
constexpr auto kSlowReader = seconds(5);
constexpr auto kLookForReader = seconds(1);
constexpr const char* kJson = "application/json";
constexpr const char* kLines = "application/x-ndjson";

void Fail(httplib::Response& response, int status, const std::string& message) {
  response.status = status;
  response.set_content(ErrorJson(message), kJson);
}

template <typename View>
void Answer(httplib::Response& response, const Result<View>& view) {
  if (!view) {
    return Fail(response, view.error().code == EINVAL ? 400 : 503, view.error().message);
  }
  response.set_content(ToJson(*view), kJson);
}

// Whether somebody answers on the socket. A file that is no socket counts as somebody's.
Result<bool> InUse(const std::string& path, const sockaddr_un& address) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return false;
    return ErrnoError(path);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Error{path + " exists and is no socket; move it away, or give another --socket"};
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket");
  return connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

Status Prepare(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error{"--socket " + path + ": a socket's path has 1 to " +
                 std::to_string(sizeof(address.sun_path) - 1) + " characters"};
  }
  path.copy(address.sun_path, path.size());
  fs::path directory = fs::path(path).parent_path();
  std::error_code error;
  if (!directory.empty() && !fs::exists(directory, error)) {
    fs::create_directories(directory.parent_path(), error);
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
      return ErrnoError("making " + directory.string() + " for the socket");
    }
  }
  auto in_use = InUse(path, address);
  if (!in_use) return std::move(in_use).error();
  if (*in_use) {
    return Error{"another agent answers on " + path + "; stop it, or give another --socket"};
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("replacing " + path);
  return Ok();
}

}  // namespace

class Server::Impl {
 public:
  Impl(std::string path, Source& source, EventLog& events)
      : path_(std::move(path)), source_(source), events_(events) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_address_family(AF_UNIX);
    // Before it has a name, so that nobody else can ever open it.
    server_.set_socket_options([](socket_t socket) { (void)fchmod(socket, 0600); });
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kSlowReader);
    server_.set_write_timeout(kSlowReader);
    server_.set_payload_max_length(0);
    Route();
  }

  ~Impl() {
    // Followers hear of the end and finish their answers; one that does not read is cut off.
    events_.Close();
    for (int left; (left = followers_) > 0;) followers_.wait(left);
    server_.stop();
    if (thread_.joinable()) thread_.join();
    (void)unlink(path_.c_str());
  }

  Status Listen() {
    if (!server_.bind_to_port(path_, 1)) return ErrnoError("listening on " + path_);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    return Ok();
  }

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;

  void Route() {
    server_.Get("/v1/status", [this](const Request&, Response& response) {
      Answer(response, source_.ReadStatus());
    });
    server_.Get("/v1/endpoints", [this](const Request&, Response& response) {
      Answer(response, source_.ReadEndpoints());
    });
    server_.Get("/v1/policies", [this](const Request&, Response& response) {
      Answer(response, source_.ReadPolicies());
    });
    server_.Get("/v1/flows", [this](const Request& request, Response& response) {
      auto question = ReadFlowsQuestion(request.params);
      if (!question) return Fail(response, 400, question.error().message);
      Answer(response, source_.ReadFlows(question->limit, question->endpoint));
    });
    server_.Get("/v1/explain", [this](const Request& request, Response& response) {
      auto question = ReadExplainQuestion(request.params);
      if (!question) return Fail(response, 400, question.error().message);
      Answer(response, source_.Explain(*question));
    });
    server_.Get("/v1/egress", [this](const Request&, Response& response) {
      Answer(response, source_.ReadEgress());
    });
    server_.Get("/v1/events", [this](const Request& request, Response& response) {
      auto follow = ReadFollow(request.params);
      if (!follow) return Fail(response, 400, follow.error().message);
      *follow ? Follow(response) : Recent(response);
    });
    server_.set_error_handler([](const Request& request, Response& response) {
      if (!response.body.empty()) return;
      int status = response.status;
      Fail(response, status,
           status == 404 ? request.path +
                               " is not there; there are /v1/status, /v1/endpoints, /v1/policies, "
                               "/v1/flows, /v1/explain, /v1/egress and /v1/events"
                         : "HTTP " + std::to_string(status));
    });
  }

  void Recent(Response& response) {
    std::string body;
    for (const auto& event : events_.Read(0, SIZE_MAX / 2, Duration::zero()).events) {
      body += (body.empty() ? "" : ",") + ToJson(*event);
    }
    response.set_content("[" + body + "]", kJson);
  }

  void Follow(Response& response) {
    if (followers_.fetch_add(1) >= kFollowers) {
      FollowerLeaves();
      return Fail(response, 503,
                  "too many readers follow the events already (" + std::to_string(kFollowers) +
                      "); end one of them");
    }
    auto next = std::make_shared<uint64_t>(events_.End());
    response.set_chunked_content_provider(
        kLines, [this, next](size_t, httplib::DataSink& sink) { return SendEvents(*next, sink); },
        [this](bool) { FollowerLeaves(); });
  }

  void FollowerLeaves() {
    --followers_;
    followers_.notify_all();
  }

  // False ends the reader: it has gone, or does not read.
  bool SendEvents(uint64_t& next, httplib::DataSink& sink) {
    EventLog::Batch batch = events_.Read(next, kBatch, kLookForReader);
    if (events_.closed()) {
      sink.done();
      return true;
    }
    if (!sink.is_writable()) return false;
    std::string lines;
    for (const auto& event : batch.events) {
      if (lines.empty() && batch.lost > 0) {
        EventView first = *event;
        first.suppressed += batch.lost;
        lines += ToJson(first) + "\n";
      } else {
        lines += ToJson(*event) + "\n";
      }
    }
    next = batch.next;
    return lines.empty() || sink.write(lines.data(), lines.size());
  }

  const std::string path_;
  Source& source_;
  EventLog& events_;
  std::atomic<int> followers_ = 0;
  httplib::Server server_;
  std::thread thread_;
};

Result<std::unique_ptr<Server>> Server::Start(const std::string& path, Source& source,
                                              EventLog& events) {
  if (Status status = Prepare(path); !status) return std::move(status).error();
  auto impl = std::make_unique<Impl>(path, source, events);
  if (Status status = impl->Listen(); !status) return std::move(status).error();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

}  // namespace sallyport::observe

// SPDX-License-Identifier: Apache-2.0
#include "cli/conversation.h"

#include <algorithm>
#include <cctype>

namespace sallyport::probe {
namespace {

constexpr size_t kMostRequest = 16 * 1024;
constexpr std::string_view kMethods[] = {"GET ", "HEAD "};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool IsHttp(std::string_view in) {
  return std::any_of(std::begin(kMethods), std::end(kMethods),
                     [&](std::string_view method) { return StartsWith(in, method); });
}

// Too short yet to tell.
bool MayBecomeHttp(std::string_view in) {
  return std::any_of(std::begin(kMethods), std::end(kMethods),
                     [&](std::string_view method) { return StartsWith(method, in); });
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// HTTP/1.1 keeps the connection unless told otherwise, HTTP/1.0 closes it unless told otherwise.
bool KeepsAlive(std::string_view request) {
  std::string lower = Lower(request);
  bool old = lower.substr(0, lower.find('\n')).find("http/1.0") != std::string::npos;
  if (old) return lower.find("connection: keep-alive") != std::string::npos;
  return lower.find("connection: close") == std::string::npos;
}

std::string Response(std::string_view status, std::string_view body, bool keep, bool head) {
  std::string out = "HTTP/1.1 " + std::string(status) +
                    "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " +
                    std::to_string(body.size()) +
                    "\r\nConnection: " + (keep ? "keep-alive" : "close") + "\r\n\r\n";
  if (!head) out += body;
  return out;
}

}  // namespace

void Conversation::Receive(std::string_view bytes) {
  if (state_ == State::kEcho) {
    out_ += bytes;
    return;
  }
  in_ += bytes;
  if (state_ == State::kUndecided) {
    if (IsHttp(in_)) {
      state_ = State::kHttp;
    } else if (!MayBecomeHttp(in_)) {
      Greet();
    }
  }
  if (state_ == State::kHttp) AnswerRequests();
}

void Conversation::Silence() {
  if (undecided()) Greet();
}

void Conversation::Greet() {
  state_ = State::kEcho;
  out_ += greeting_ + in_;
  in_.clear();
}

void Conversation::AnswerRequests() {
  while (!finished_) {
    size_t end = in_.find("\r\n\r\n");
    if (end == std::string::npos) {
      if (in_.size() > kMostRequest) {
        out_ += Response("431 Request Header Fields Too Large", "request too long\n", false, false);
        finished_ = true;
      }
      return;
    }
    Respond(std::string_view(in_).substr(0, end + 2));
    in_.erase(0, end + 4);
  }
}

void Conversation::Respond(std::string_view request) {
  if (!IsHttp(request)) {
    out_ += Response("400 Bad Request", "only GET and HEAD are answered\n", false, false);
    finished_ = true;
    return;
  }
  bool keep = KeepsAlive(request);
  out_ += Response("200 OK", greeting_, keep, StartsWith(request, "HEAD "));
  finished_ = !keep;
}

}  // namespace sallyport::probe

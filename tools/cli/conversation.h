// SPDX-License-Identifier: Apache-2.0
// What `probe serve` says on one TCP connection: bytes in, bytes out, no sockets.
//
//   undecided --first bytes look like "GET " or "HEAD "--> HTTP: a response to each request
//   undecided --other bytes, or silence--> echo: the greeting, then everything comes back
#pragma once

#include <string>
#include <string_view>

namespace sallyport::probe {

class Conversation {
 public:
  // `greeting` ends with a newline.
  explicit Conversation(std::string greeting) : greeting_(std::move(greeting)) {}

  // The client sent these bytes. None after finished().
  void Receive(std::string_view bytes);
  // The client has been silent for a while: greet it if that has not happened yet.
  void Silence();

  bool undecided() const { return state_ == State::kUndecided; }
  // What is to be sent; the caller erases what it sent.
  std::string& out() { return out_; }
  // To be closed as soon as out() is sent.
  bool finished() const { return finished_; }

 private:
  enum class State { kUndecided, kEcho, kHttp };
  void Greet();
  void AnswerRequests();
  void Respond(std::string_view request);

  std::string greeting_;
  std::string in_;
  std::string out_;
  State state_ = State::kUndecided;
  bool finished_ = false;
};

}  // namespace sallyport::probe

// SPDX-License-Identifier: Apache-2.0
// GET: one object, lists, watches; as objects, tables or metadata.
#pragma once

#include "apiserver/request.h"
#include "apiserver/store.h"

namespace sallyport::apiserver {

struct ReaderOptions {
  Duration bookmark_every = std::chrono::seconds(60);
  bool watch_list = true;  // sendInitialEvents
};

// How the client wants to see objects.
enum class Form { kObject, kTable, kMetadata };
// By the Accept header; throws 406.
Form FormOf(const std::string& accept);

class Reader {
 public:
  Reader(Store& store, ReaderOptions options, Clock& clock)
      : store_(store), options_(options), clock_(clock) {}

  Response Get(const Target& target, const Request& request) const;
  Response List(const Target& target, const Request& request) const;
  Response Watch(const Target& target, const Request& request) const;
  // An object that was just written, in the form that the client wants.
  Response Show(const Target& target, const Request& request, const std::string& json,
                int code = 200) const;

 private:
  Store& store_;
  const ReaderOptions options_;
  Clock& clock_;
};

}  // namespace sallyport::apiserver

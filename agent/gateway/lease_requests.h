// SPDX-License-Identifier: Apache-2.0
// What is asked of the API server about one Lease, and what came of it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "egress/lease.h"
#include "gateway/lease_object.h"
#include "kube/client.h"

namespace sallyport::gateway {

// A request, to its end; the client's Send(), or a test's.
using SendRequest = std::function<Result<kube::Response>(const kube::Request&)>;

// An answer of the server's that is none of the wanted ones, for a person.
std::string Refusal(const kube::Response& response);
// The API server says, in its own words, that there is no such object; somebody in between who
// answers 404 to everything does not.
bool IsNotFound(const kube::Response& response);
inline constexpr int kConflictCode = 409;

struct LeaseAnswer {
  egress::Outcome outcome = egress::Outcome::kFailed;
  // As it is now; nothing if there is none, or, of kFailed, if nobody knows.
  std::optional<LeaseObject> stands;
  std::string error;  // of kFailed: for a person
};

// In one namespace. Each takes one request, and after a conflict another one to see what stands
// there.
class LeaseRequests {
 public:
  LeaseRequests(SendRequest send, std::string ns);

  // kConflict: there is one of the name.
  LeaseAnswer Create(const LeaseObject& lease) const;
  // kConflict: it is not the creation and version that `meta` names any more.
  LeaseAnswer Replace(const LeaseObject& lease) const;
  LeaseAnswer Delete(const LeaseObject& lease) const;

 private:
  LeaseAnswer Ask(const char* doing, kube::Request request, const LeaseObject& lease) const;
  LeaseAnswer Look(const std::string& name) const;

  const SendRequest send_;
  const std::string ns_;
  const std::string path_;
};

}  // namespace sallyport::gateway

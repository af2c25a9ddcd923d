// SPDX-License-Identifier: Apache-2.0
#include "gateway/lease_requests.h"

#include <chrono>
#include <utility>

#include "watch/api_messages.h"

namespace sallyport::gateway {
namespace {

// An outcome that comes later than this is no use: what was asked is asked anew.
constexpr Duration kLeaseAnswerWithin = std::chrono::seconds(5);
constexpr int kNotFoundCode = 404;

LeaseAnswer FailedAnswer(std::string why) {
  LeaseAnswer out;
  out.error = std::move(why);
  return out;
}

}  // namespace

std::string Refusal(const kube::Response& response) {
  watch::ApiStatus status = watch::ReadStatus(response.body);
  std::string out = "the server answered " + std::to_string(response.status);
  if (!status.reason.empty()) out += " " + status.reason;
  if (!status.message.empty()) out += ": " + status.message;
  return out;
}

bool IsNotFound(const kube::Response& response) {
  return response.status == kNotFoundCode && watch::ReadStatus(response.body).reason == "NotFound";
}

LeaseRequests::LeaseRequests(SendRequest send, std::string ns)
    : send_(std::move(send)),
      ns_(std::move(ns)),
      path_("/apis/coordination.k8s.io/v1/namespaces/" + kube::EncodeUrl(ns_) + "/leases") {}

LeaseAnswer LeaseRequests::Create(const LeaseObject& lease) const {
  LeaseObject fresh = lease;
  fresh.meta = {};
  return Ask("creating", {.method = "POST", .path = path_, .body = WriteLease(fresh, ns_)}, lease);
}

LeaseAnswer LeaseRequests::Replace(const LeaseObject& lease) const {
  return Ask("updating",
             {.method = "PUT",
              .path = path_ + "/" + kube::EncodeUrl(lease.name),
              .body = WriteLease(lease, ns_)},
             lease);
}

LeaseAnswer LeaseRequests::Delete(const LeaseObject& lease) const {
  LeaseAnswer out = Ask("deleting",
                        {.method = "DELETE",
                         .path = path_ + "/" + kube::EncodeUrl(lease.name),
                         .body = WriteDeletion(lease.meta)},
                        lease);
  if (out.outcome == egress::Outcome::kDone) out.stands.reset();
  return out;
}

LeaseAnswer LeaseRequests::Ask(const char* doing, kube::Request request,
                               const LeaseObject& lease) const {
  const std::string what = std::string(doing) + " Lease " + ns_ + "/" + lease.name + ": ";
  const bool deletes = request.method == "DELETE", creates = request.method == "POST";
  request.answer_within = kLeaseAnswerWithin;
  auto response = send_(request);
  if (!response) return FailedAnswer(what + response.error().message);
  if (response->ok()) {
    if (deletes) return {egress::Outcome::kDone, std::nullopt, ""};
    auto stands = ReadLease(response->body);
    if (!stands) return FailedAnswer(what + stands.error().message);
    return {egress::Outcome::kDone, *std::move(stands), ""};
  }
  // A 404 to a creation means that there is no such namespace; and one that does not speak as an
  // API server does says nothing about the Lease.
  bool gone = !creates && IsNotFound(*response);
  if (response->status != kConflictCode && !gone) return FailedAnswer(what + Refusal(*response));
  LeaseAnswer now = Look(lease.name);
  if (!now.error.empty()) now.error.insert(0, what);
  return now;
}

LeaseAnswer LeaseRequests::Look(const std::string& name) const {
  kube::Request request;
  request.path = path_ + "/" + kube::EncodeUrl(name);
  request.answer_within = kLeaseAnswerWithin;
  auto response = send_(request);
  if (!response) return FailedAnswer(response.error().message);
  if (IsNotFound(*response)) return {egress::Outcome::kConflict, std::nullopt, ""};
  if (!response->ok()) return FailedAnswer(Refusal(*response));
  auto stands = ReadLease(response->body);
  if (!stands) return FailedAnswer(stands.error().message);
  return {egress::Outcome::kConflict, *std::move(stands), ""};
}

}  // namespace sallyport::gateway

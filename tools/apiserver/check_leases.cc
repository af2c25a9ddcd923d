// SPDX-License-Identifier: Apache-2.0
// Leases and Events: what programs write, and get wrong.
// Source: Kubernetes, pkg/apis/coordination/validation, pkg/apis/core/validation/events.go,
// apimachinery's MicroTime.
#include <regex>

#include "apiserver/checks.h"
#include "apiserver/forms.h"

namespace sallyport::apiserver {
namespace {

// Six digits after the point, no more and no fewer: so the real one reads it.
void CheckMicroTime(const Value& parent, const std::string& path, std::string_view key,
                    Causes* out) {
  static const std::regex kMicro(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d))",
                                 std::regex::ECMAScript);
  const Value* time = parent.Find(key);
  if (IsNull(time)) return;
  bool good = time->IsString() && time->text.size() < 40 && std::regex_match(time->text, kMicro);
  if (!good) {
    out->push_back(BadValue(path + std::string(key), *time,
                            "must be a time such as 2006-01-02T15:04:05.000000Z, with six digits "
                            "after the point"));
  }
}

}  // namespace

void CheckLease(const Value& lease, const Value*, Causes* out) {
  const Value* spec = lease.Find("spec");
  if (!IsMapping(spec)) return;
  auto seconds = IntegerAt(*spec, {"leaseDurationSeconds"});
  if (seconds && *seconds <= 0)
    out->push_back(
        BadValue("spec.leaseDurationSeconds", Integer(*seconds), "must be greater than 0"));
  auto transitions = IntegerAt(*spec, {"leaseTransitions"});
  if (transitions && *transitions < 0)
    out->push_back(BadValue("spec.leaseTransitions", Integer(*transitions),
                            "must be greater than or equal to 0"));
  for (std::string_view key : {"acquireTime", "renewTime"}) {
    CheckMicroTime(*spec, "spec.", key, out);
  }
}

// An Event about an object of the cluster is in namespace default.
void CheckEvent(const Value& event, const Value*, Causes* out) {
  std::string about = TextAt(event, {"involvedObject", "namespace"});
  std::string in = TextAt(event, {"metadata", "namespace"});
  if (about.empty() ? in != "default" : about != in)
    out->push_back(BadValue("involvedObject.namespace", about, "does not match event.namespace"));
  CheckMicroTime(event, "", "eventTime", out);
}

}  // namespace sallyport::apiserver

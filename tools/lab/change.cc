// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "lab/apply.h"
#include "lab/guard.h"
#include "lab/lab.h"

namespace sallyport::lab {
namespace {

constexpr Duration kReadyWithin = std::chrono::seconds(60);

struct Opened {
  HeldLab held;
  std::unique_ptr<Api> api;
};

Result<Opened> OpenForChange(const std::string& name, const Console& console) {
  auto held = HoldLab(name, console);
  if (!held) return std::move(held).error();
  auto api = OpenApi(Layout(name));
  if (!api) return std::move(api).error();
  return Opened{*std::move(held), *std::move(api)};
}

}  // namespace

Result<Outcome> Apply(const std::string& name, const std::vector<std::string>& paths,
                      const Console& console) {
  auto read = ReadObjects(paths);
  if (!read) return std::move(read).error();
  model::Diagnostics found = CheckObjects(read->objects);
  found.insert(found.begin(), read->diagnostics.begin(), read->diagnostics.end());
  if (Status good = ShowDiagnostics(found, console); !good) return std::move(good).error();
  auto lab = OpenForChange(name, console);
  if (!lab) return std::move(lab).error();
  ObjectSet objects = std::move(read->objects);
  for (const Value& ns : NamespacesOf(objects))
    if (Status made = CreateIfAbsent(*lab->api, ns); !made) return std::move(made).error();
  if (Status done = ApplyObjects(*lab->api, objects, console); !done)
    return std::move(done).error();
  return AwaitReady(lab->held.state, *lab->api, kReadyWithin, console);
}

Result<Outcome> Delete(const std::string& name, const std::vector<ObjectKey>& keys,
                       const Console& console) {
  auto lab = OpenForChange(name, console);
  if (!lab) return std::move(lab).error();
  auto deleted = DeleteObjects(*lab->api, keys, name);
  if (!deleted) return std::move(deleted).error();
  if (Status gone = AwaitGone(*lab->api, *deleted, kReadyWithin); !gone)
    return std::move(gone).error();
  return AwaitReady(lab->held.state, *lab->api, kReadyWithin, console);
}

}  // namespace sallyport::lab

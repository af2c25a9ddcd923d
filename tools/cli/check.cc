// SPDX-License-Identifier: Apache-2.0
#include "cli/check.h"

#include <map>

#include "cli/json.h"
#include "cli/read_world.h"
#include "egress/diagnose.h"
#include "watch/manifest_files.h"

namespace sallyport::cli {
namespace {

using model::Diagnostic;
using model::Severity;

struct CheckSummary {
  std::map<std::string, int> objects;  // by kind
  int read = 0;
  int warnings = 0;
  int errors = 0;
};

CheckSummary Summarize(const model::Manifest& manifest, bool strict) {
  CheckSummary out;
  for (const model::Delta& delta : manifest.objects) {
    ++out.objects[model::ToString(delta.kind)];
    ++out.read;
  }
  for (const Diagnostic& d : manifest.diagnostics) {
    bool error = d.severity == Severity::kError || strict;
    ++(error ? out.errors : out.warnings);
  }
  return out;
}

std::string Count(int n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// "7 objects read (3 Pod, 4 NetworkPolicy), 1 warning, 0 errors; skipped: 2 apps/v1 Deployment"
std::string InWords(const CheckSummary& summary, const std::map<std::string, int>& skipped) {
  std::string kinds;
  for (const auto& [kind, n] : summary.objects) {
    kinds += (kinds.empty() ? " (" : ", ") + std::to_string(n) + " " + kind;
  }
  std::string out = Count(summary.read, "object") + " read" + (kinds.empty() ? "" : kinds + ")") +
                    ", " + Count(summary.warnings, "warning") + ", " +
                    Count(summary.errors, "error");
  const char* separator = "; skipped: ";
  for (const auto& [kind, n] : skipped) {
    out += separator + std::to_string(n) + " " + kind;
    separator = ", ";
  }
  return out;
}

std::string Painted(const Diagnostic& diagnostic, const Terminal& terminal) {
  std::string text = diagnostic.ToString();
  bool error = diagnostic.severity == Severity::kError;
  std::string word = error ? "error:" : "warning:";
  size_t at = text.find(word);
  if (at == std::string::npos) return text;
  return text.substr(0, at) + terminal.Paint(error ? Colour::kRed : Colour::kYellow, word) +
         text.substr(at + word.size());
}

std::string Counts(const std::map<std::string, int>& counts) {
  JsonObject out;
  for (const auto& [what, n] : counts) out.Add(what, n);
  return out.ToString();
}

std::string ToJson(const CheckSummary& summary, const model::Manifest& manifest) {
  std::vector<std::string> rows;
  for (const Diagnostic& d : manifest.diagnostics) {
    rows.push_back(JsonObject()
                       .Add("severity", d.severity == Severity::kError ? "error" : "warning")
                       .Add("file", d.place.file)
                       .Add("line", d.place.line)
                       .Add("object", d.object)
                       .Add("field", d.field)
                       .Add("message", d.message)
                       .ToString());
  }
  return JsonObject()
             .AddJson("objects", Counts(summary.objects))
             .AddJson("skipped", Counts(manifest.skipped))
             .Add("warnings", summary.warnings)
             .Add("errors", summary.errors)
             .AddJson("diagnostics", JsonArray(rows, true))
             .ToString() +
         "\n";
}

// What is wrong with EgressGateways beside others, for pods of workloads too where those can be
// told.
void AddEgress(const std::vector<watch::TextFile>& texts, watch::ManifestFiles& files) {
  if (files.snapshot.egress_gateways.empty()) return;
  auto world = WorldOf(texts);
  for (auto& [name, found] : egress::Diagnose(world ? world->snapshot() : files.snapshot)) {
    for (Diagnostic& d : found) files.manifest.diagnostics.push_back(std::move(d));
  }
}

}  // namespace

int RunCheck(const CheckOptions& options, const Terminal& terminal) {
  auto texts = watch::ReadTextFiles(options.paths);
  if (!texts) return terminal.Fail(texts.error().message);
  watch::ManifestFiles files = watch::ReadManifests(*texts);
  AddEgress(*texts, files);
  const model::Manifest& manifest = files.manifest;
  CheckSummary summary = Summarize(manifest, options.strict);
  if (terminal.format == Format::kJson) {
    terminal.out << ToJson(summary, manifest);
  } else {
    for (const Diagnostic& d : manifest.diagnostics) terminal.out << Painted(d, terminal) << "\n";
    terminal.out << InWords(summary, manifest.skipped) << "\n";
  }
  return summary.errors == 0 ? kYes : kNo;
}

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "lab/objects.h"
#include "watch/manifest_files.h"

namespace sallyport::lab {

Result<ReadObjectsResult> ReadObjects(const std::vector<std::string>& paths) {
  auto files = watch::ReadTextFiles(paths);
  if (!files) return std::move(files).error();
  ReadObjectsResult out;
  for (const watch::TextFile& file : *files) {
    model::ParsedText parsed = model::ParseText(file.text, file.path);
    out.diagnostics.insert(out.diagnostics.end(), parsed.diagnostics.begin(),
                           parsed.diagnostics.end());
    AddDocuments(parsed.documents, file.path, &out.objects, &out.diagnostics);
  }
  return out;
}

}  // namespace sallyport::lab

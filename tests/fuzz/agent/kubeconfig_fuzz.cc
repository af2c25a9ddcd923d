// SPDX-License-Identifier: Apache-2.0
// Whatever a kubeconfig holds: it is refused with a reason, or what is taken from it is fit to be
// sent (no line breaks in a header), is verified, and the server's URL means the same when it is
// written out.
//
// The input: a kubeconfig. Of the files it names, those whose path ends in "t" or "y" hold a text.
#include <algorithm>

#include "base/check.h"
#include "fuzz/input.h"
#include "kube/access.h"

namespace sallyport::kube {
namespace {

Result<std::string> SomeFile(const std::string& path) {
  if (path.ends_with('t') || path.ends_with('y')) return std::string("pem");
  return Error{path + ": there is no such file"};
}

bool IsPlain(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

// As JSON, so that nothing in it is YAML.
std::string With(const std::string& url) {
  return R"({"kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": )"
         R"({"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {"server": ")" +
         url + R"("}}]})";
}

void CheckUrl(const Access& access) {
  CHECK(!access.host.empty() && access.port != 0);
  CHECK(IsPlain(access.host) && IsPlain(access.base_path)) << access.host << access.base_path;
  CHECK(access.base_path.empty() ||
        (access.base_path.front() == '/' && access.base_path.back() != '/'));
  if (access.base_path.find_first_of("\"\\") != std::string::npos) return;
  auto again = ParseKubeconfig(With(access.Url()), "f", "", SomeFile);
  CHECK(again) << access.Url() << ": " << again.error().message;
  CHECK(again->host == access.host && again->port == access.port) << access.Url();
  CHECK(again->base_path == access.base_path) << access.Url();
}

}  // namespace
}  // namespace sallyport::kube

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::kube;
  auto access = ParseKubeconfig(sallyport::fuzz::Text(data, size), "/etc/k/config", "", SomeFile);
  if (!access) {
    CHECK(access.error().message.starts_with("kubeconfig")) << access.error().message;
    return 0;
  }
  CheckUrl(*access);
  CHECK(access->client_certificate_pem.empty() == access->client_key_pem.empty());
  CHECK(IsPlain(access->token)) << "a header of its own";
  CHECK(IsPlain(access->server_name)) << access->server_name;
  for (const std::string& file : {access->ca_file, access->client_certificate_file,
                                  access->client_key_file, access->token_file}) {
    CHECK(file.empty() || file.front() == '/') << file;
  }
  CHECK(!access->ns.empty());
  return 0;
}

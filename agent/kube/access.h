// SPDX-License-Identifier: Apache-2.0
// How to reach an API server, and as whom: from a kubeconfig file, or from inside a pod.
//
// TLS always, and always verified. What would weaken that (http://, insecure-skip-tls-verify) or
// would need another program (exec, auth-provider) or another way (proxy-url) is refused with a
// message that says what to do: whoever can answer in the API server's place writes the policy.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::kube {

struct Access {
  std::string host;  // a name, or an IPv4 or IPv6 address without brackets
  uint16_t port = 443;
  std::string base_path;  // "" or "/prefix", never with a slash at the end
  std::string ca_pem;     // certificates to trust; "": those of the system
  // Both or neither.
  std::string client_certificate_pem;
  std::string client_key_pem;
  // The files that these three are from, where they are from files: those are replaced while the
  // old ones are still good. (What stands in a kubeconfig itself is read once.)
  std::string ca_file, client_certificate_file, client_key_file;
  // A bearer token; or the file that has it, which is read again as it changes and goes before
  // `token`. Neither: no such header.
  std::string token;
  std::string token_file;
  std::string server_name;  // what the certificate must be for, and SNI; "": host
  std::string ns;           // the namespace of the context, "default" if it has none
  std::string origin;       // where all this is from, for messages: "kubeconfig /root/.kube/config"

  // "https://10.0.0.1:6443/prefix", with brackets around IPv6.
  std::string Url() const;
  // Reads the three files again. What cannot be read, or is empty, stays as it was.
  void Reread();
};

// The cluster and user of `context`, or of the file's current-context. A YAML or JSON file of kind
// Config. Certificates and keys are read now (and again, with token files, by the client); paths
// are relative to the directory of the file.
Result<Access> ReadKubeconfig(const std::string& path, const std::string& context = "");

// The same of the text that the file `path` has; `read` gives other files' texts. Pure but for it.
using ReadText = std::function<Result<std::string>(const std::string& path)>;
Result<Access> ParseKubeconfig(std::string_view text, const std::string& path,
                               const std::string& context, const ReadText& read);

// What a service account's pod gets: the two variables' values, and the directory with token,
// ca.crt and namespace. The CA must be there; the token's file must be, too.
inline constexpr const char* kServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";
Result<Access> InClusterAccess(const std::string& service_host, const std::string& service_port,
                               const std::string& directory = kServiceAccount);
// From this process's environment: KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT.
Result<Access> InClusterAccess();
// Whether both variables are set and the token's file is there.
bool InCluster();

}  // namespace sallyport::kube

// SPDX-License-Identifier: Apache-2.0
// The cluster's certificates, as PEM texts.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace sallyport::apiserver {

struct Certificate {
  std::string certificate_pem;
  std::string key_pem;
};

// A new certificate authority, of ten years.
Result<Certificate> MakeAuthority(const std::string& common_name);

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations = {};  // of a client: its groups
  std::vector<std::string> addresses = {};      // of a server
  std::vector<std::string> names = {};
};
// A certificate that the authority signs, for a server where it has names or addresses, else for a
// client; of one year.
Result<Certificate> MakeCertificate(const Certificate& authority,
                                    const CertificateRequest& request);

std::string HmacSha256(const std::string& key, const std::string& text);

}  // namespace sallyport::apiserver

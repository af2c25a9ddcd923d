// SPDX-License-Identifier: Apache-2.0
#include "apiserver/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "apiserver/encoding.h"

namespace sallyport::apiserver {
namespace {

constexpr long kDay = 24 * 3600;

template <typename T, void (*kFree)(T*)>
struct Free {
  void operator()(T* pointer) const { kFree(pointer); }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Free<X509, X509_free>>;
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

Error OpensslError(const std::string& what) {
  char text[256] = "unknown";
  ERR_error_string_n(ERR_get_error(), text, sizeof(text));
  return Error{what + ": " + text};
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

Result<Certificate> ToPem(X509* certificate, EVP_PKEY* key) {
  Bio first(BIO_new(BIO_s_mem()));
  Bio second(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509(first.get(), certificate) ||
      !PEM_write_bio_PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr)) {
    return OpensslError("writing a certificate");
  }
  return Certificate{TextOf(first.get()), TextOf(second.get())};
}

void AddName(X509_NAME* name, const char* field, const std::string& text) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(text.c_str()), -1, -1, 0);
}

bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (!extension) return false;
  int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added == 1;
}

Cert Blank(EVP_PKEY* key, long days) {
  Cert certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::string serial = RandomBytes(16);
  serial[0] = static_cast<char>(serial[0] & 0x7f);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), 16, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  // From a little in the past: clocks differ.
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -300);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), days * kDay);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

Key NewKey() { return Key(EVP_EC_gen("P-256")); }

std::string AlternativeNames(const CertificateRequest& request) {
  std::string out;
  for (const std::string& name : request.names) out += (out.empty() ? "DNS:" : ",DNS:") + name;
  for (const std::string& address : request.addresses)
    out += (out.empty() ? "IP:" : ",IP:") + address;
  return out;
}

}  // namespace

Result<Certificate> MakeAuthority(const std::string& common_name) {
  Key key = NewKey();
  if (!key) return OpensslError("making a key");
  Cert certificate = Blank(key.get(), 3650);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  AddName(name, "CN", common_name);
  X509_set_issuer_name(certificate.get(), name);
  bool good =
      AddExtension(certificate.get(), certificate.get(), NID_basic_constraints,
                   "critical,CA:TRUE") &&
      AddExtension(certificate.get(), certificate.get(), NID_key_usage,
                   "critical,digitalSignature,keyEncipherment,keyCertSign") &&
      AddExtension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  if (!good || !X509_sign(certificate.get(), key.get(), EVP_sha256()))
    return OpensslError("signing the authority's certificate");
  return ToPem(certificate.get(), key.get());
}

Result<Certificate> MakeCertificate(const Certificate& authority,
                                    const CertificateRequest& request) {
  Bio cert_bio(BIO_new_mem_buf(authority.certificate_pem.data(),
                               static_cast<int>(authority.certificate_pem.size())));
  Bio key_bio(
      BIO_new_mem_buf(authority.key_pem.data(), static_cast<int>(authority.key_pem.size())));
  Cert issuer(PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr));
  Key issuer_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!issuer || !issuer_key) return OpensslError("reading the authority's certificate");
  Key key = NewKey();
  if (!key) return OpensslError("making a key");
  Cert certificate = Blank(key.get(), 365);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  for (const std::string& organization : request.organizations) AddName(name, "O", organization);
  AddName(name, "CN", request.common_name);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  std::string alternatives = AlternativeNames(request);
  bool server = !alternatives.empty();
  bool good =
      AddExtension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
      AddExtension(certificate.get(), issuer.get(), NID_key_usage,
                   "critical,digitalSignature,keyEncipherment") &&
      AddExtension(certificate.get(), issuer.get(), NID_ext_key_usage,
                   server ? "serverAuth" : "clientAuth") &&
      AddExtension(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid");
  if (good && server)
    good = AddExtension(certificate.get(), issuer.get(), NID_subject_alt_name, alternatives);
  if (!good || !X509_sign(certificate.get(), issuer_key.get(), EVP_sha256()))
    return OpensslError("signing a certificate");
  return ToPem(certificate.get(), key.get());
}

std::string HmacSha256(const std::string& key, const std::string& text) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), sum, &size);
  return std::string(reinterpret_cast<char*>(sum), size);
}

}  // namespace sallyport::apiserver

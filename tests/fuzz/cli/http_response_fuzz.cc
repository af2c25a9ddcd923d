// SPDX-License-Identifier: Apache-2.0
// A response means the same however its bytes are cut into pieces.
//
// The input: the size of the pieces, less one (one byte), and the response.
#include <algorithm>

#include "base/check.h"
#include "cli/unix_http.h"
#include "fuzz/input.h"

namespace sallyport::cli {
namespace {

struct Decoded {
  std::string body;
  bool good = true;
  bool ended = false;
  int status = 0;
};

Decoded Decode(std::string_view response, size_t piece) {
  Decoded out;
  ResponseDecoder decoder;
  while (out.good && !response.empty()) {
    auto body = decoder.Receive(response.substr(0, piece));
    out.good = body.has_value();
    if (body) out.body += *body;
    response.remove_prefix(std::min(piece, response.size()));
  }
  out.ended = decoder.End().ok();
  out.status = decoder.status();
  return out;
}

}  // namespace
}  // namespace sallyport::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sallyport::cli;
  std::string_view text = sallyport::fuzz::Text(data, size);
  if (text.empty()) return 0;
  size_t piece = 1 + static_cast<unsigned char>(text[0]);
  text.remove_prefix(1);
  Decoded whole = Decode(text, std::max<size_t>(1, text.size()));
  Decoded cut = Decode(text, piece);
  CHECK(whole.good == cut.good && whole.status == cut.status);
  if (!whole.good) return 0;  // what came before the error is nobody's
  CHECK(whole.body == cut.body && whole.ended == cut.ended);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// What the far end of a probe says first: who it is, and whom it sees. Pure.
//
//   "I am shop/web at 10.0.1.5:80/TCP; I see 10.0.2.7:41234\n"
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace sallyport::probe {

inline constexpr std::string_view kGreetingStart = "I am ";

// `here` and `peer` as "10.0.0.1:80" or "[2001:db8::1]:80".
std::string Greeting(const std::string& name, const std::string& here, std::string_view protocol,
                     const std::string& peer);

struct Greeted {
  std::string name;      // of the far end
  net::Address address;  // whom it sees
  uint16_t port = 0;
};
// Nothing: it is not such a line, with or without its end.
std::optional<Greeted> ReadGreeting(std::string_view line);

}  // namespace sallyport::probe

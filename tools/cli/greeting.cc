// SPDX-License-Identifier: Apache-2.0
#include "cli/greeting.h"

#include "cli/ports.h"

namespace sallyport::probe {
namespace {

constexpr std::string_view kAt = " at ", kSeen = "; I see ";

}  // namespace

std::string Greeting(const std::string& name, const std::string& here, std::string_view protocol,
                     const std::string& peer) {
  return std::string(kGreetingStart) + name + std::string(kAt) + here + "/" +
         std::string(protocol) + std::string(kSeen) + peer + "\n";
}

std::optional<Greeted> ReadGreeting(std::string_view line) {
  line = line.substr(0, line.find('\n'));
  // A name may hold anything, what stands behind it not.
  size_t seen = line.rfind(kSeen);
  if (!line.starts_with(kGreetingStart) || seen == std::string_view::npos) return std::nullopt;
  std::string_view front = line.substr(0, seen), peer = line.substr(seen + kSeen.size());
  size_t at = front.rfind(kAt), colon = peer.rfind(':');
  if (at == std::string_view::npos || at < kGreetingStart.size() ||
      colon == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view host = peer.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  auto address = net::Address::Parse(host);
  auto port = ParsePortNumber(peer.substr(colon + 1));
  if (!address || !port) return std::nullopt;
  return Greeted{std::string(front.substr(kGreetingStart.size(), at - kGreetingStart.size())),
                 *address, *port};
}

}  // namespace sallyport::probe

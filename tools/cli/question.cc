// SPDX-License-Identifier: Apache-2.0
#include "cli/question.h"

#include <algorithm>

#include "cli/ports.h"

namespace sallyport::cli {
namespace {

std::string Quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// In capitals: "x/icmp" is a pod.
bool IsIcmpWord(std::string_view word) { return word == "ICMP" || word == "ICMPv6"; }

// Names of pods and namespaces: RFC 1123 subdomains, loosely; the world says whether they exist.
bool IsName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

bool IsNumber(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string ToString(const Party& party) {
  if (const auto* pod = std::get_if<model::ObjectName>(&party)) return pod->ToString();
  return std::get<net::Address>(party).ToString();
}

Result<Party> ParseParty(std::string_view text) {
  std::string_view bare = text;
  bool bracketed = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) bare = text.substr(1, text.size() - 2);
  if (auto address = net::Address::Parse(bare)) return Party(*address);
  size_t slash = bare.find('/');
  bool has_namespace = slash != std::string_view::npos;
  std::string_view ns = has_namespace ? bare.substr(0, slash) : kDefaultNamespace;
  std::string_view name = has_namespace ? bare.substr(slash + 1) : bare;
  bool is_label = ns.find('.') == std::string_view::npos;
  if (bracketed || !IsName(ns) || !is_label || !IsName(name)) {
    return Error{Quoted(text) + " is neither a pod (namespace/name) nor an IP address"};
  }
  return Party(model::ObjectName{std::string(ns), std::string(name)});
}

Result<SplitDestination> Split(std::string_view text) {
  if (!text.empty() && text.front() == '[') {
    size_t close = text.find(']');
    if (close == std::string_view::npos) return Error{Quoted(text) + " lacks a closing bracket"};
    std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':' && rest.front() != '/') {
      return Error{Quoted(text) + ": write [address]:port"};
    }
    return SplitDestination{text.substr(1, close - 1), rest.empty() ? rest : rest.substr(1)};
  }
  size_t slash = text.rfind('/');
  if (slash != std::string_view::npos && IsIcmpWord(text.substr(slash + 1))) {
    return SplitDestination{text.substr(0, slash), text.substr(slash + 1)};
  }
  if (net::Address::Parse(text) || net::Cidr::Parse(text)) return SplitDestination{text, ""};
  size_t colon = text.find(':');
  if (colon == std::string_view::npos) return SplitDestination{text, ""};
  if (text.find(':', colon + 1) != std::string_view::npos) {
    return Error{Quoted(text) + ": put an IPv6 address in brackets, as in [2001:db8::1]:80"};
  }
  std::string_view ports = text.substr(colon + 1);
  if (ports.empty()) return Error{Quoted(text) + " lacks a port after the colon"};
  return SplitDestination{text.substr(0, colon), ports};
}

namespace {

std::string InBrackets(std::string_view address) { return "[" + std::string(address) + "]"; }

// What to write for a destination that has no port. The end of an IPv6 address without brackets may
// be meant for one.
Error LacksPort(std::string_view text, const Party& party) {
  std::string lacks = Quoted(text) + " lacks a port: write ";
  std::string name = ToString(party);
  const auto* address = std::get_if<net::Address>(&party);
  if (address == nullptr || address->IsV4()) return {lacks + name + ":80, or " + name + "/ICMP"};
  name = InBrackets(name);
  size_t colon = text.rfind(':');
  std::string_view end = text.substr(colon + 1);
  if (net::Address::Parse(text.substr(0, colon)) && probe::ParsePortNumber(end)) {
    lacks += InBrackets(text.substr(0, colon)) + ":" + std::string(end) + ", ";
  }
  return {lacks + name + ":80, or " + name + "/ICMP"};
}

// The cause of mistakes that would otherwise look like odd names.
Status CheckSlashes(std::string_view text) {
  size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return Ok();
  std::string_view before = text.substr(0, slash);
  std::string_view last = text.substr(slash + 1);
  auto protocol = probe::ParseProtocolName(last);
  bool has_port = !net::Address::Parse(before) && before.find(':') != std::string_view::npos &&
                  before.back() != ']';
  if (IsIcmpWord(last) && has_port) return Error{Quoted(text) + ": ICMP has no ports"};
  bool pod_and_protocol = before.find('/') != std::string_view::npos && !has_port;
  if (!protocol || IsIcmpWord(last) || !pod_and_protocol) return Ok();
  return Error{Quoted(text) + " lacks a port: write " + std::string(before) + ":80/" +
               std::string(last)};
}

}  // namespace

Result<Destination> ParseDestination(std::string_view text) {
  if (Status s = CheckSlashes(text); !s) return s.error();
  auto split = Split(text);
  if (!split) return std::move(split).error();
  auto party = ParseParty(split->party);
  if (!party) return std::move(party).error();
  Destination out;
  out.party = std::move(*party);
  if (split->ports.empty()) return LacksPort(text, out.party);
  size_t slash = split->ports.find('/');
  std::string_view port = split->ports.substr(0, slash);
  if (IsNumber(port) || IsIcmpWord(split->ports)) {
    auto parsed = probe::ParsePort(split->ports);
    if (!parsed) return std::move(parsed).error().Context(text);
    out.protocol = parsed->protocol;
    if (net::HasPorts(parsed->protocol)) out.port = parsed->number;
    return out;
  }
  if (!IsName(port)) return Error{Quoted(text) + ": " + Quoted(port) + " is not a port"};
  out.port = std::string(port);
  if (slash == std::string_view::npos) return out;
  auto protocol = probe::ParseProtocolName(split->ports.substr(slash + 1));
  if (!protocol) return std::move(protocol).error().Context(text);
  if (!net::HasPorts(*protocol)) return Error{Quoted(text) + ": ICMP has no ports"};
  out.protocol = *protocol;
  return out;
}

}  // namespace sallyport::cli

// SPDX-License-Identifier: Apache-2.0
#include "cli/expect.h"

#include <algorithm>

#include "model/document.h"

namespace sallyport::cli {
namespace {

using model::ObjectName;
using model::Value;

constexpr std::string_view kArrow = "->";

bool IsGlob(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

std::string_view Trimmed(std::string_view text) {
  size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// What a Deployment's pods have between its name and their own part, in characters.
constexpr size_t kShortestHash = 6;
constexpr size_t kLongestHash = 10;

// Letters and digits of generated names: without vowels and what looks like them.
bool IsGenerated(std::string_view text, size_t least, size_t most) {
  return text.size() >= least && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return std::string_view("bcdfghjklmnpqrstvwxz2456789").find(c) != std::string_view::npos;
         });
}

bool IsOrdinal(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsPatternName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '*' ||
           c == '?';
  });
}

}  // namespace

std::string_view WorkloadOf(std::string_view pod) {
  size_t dash = pod.rfind('-');
  if (dash == std::string_view::npos || dash == 0 || !IsGenerated(pod.substr(dash + 1), 5, 5)) {
    return pod;
  }
  std::string_view stem = pod.substr(0, dash);
  dash = stem.rfind('-');
  bool has_hash = dash != std::string_view::npos && dash > 0 &&
                  IsGenerated(stem.substr(dash + 1), kShortestHash, kLongestHash);
  return has_hash ? stem.substr(0, dash) : stem;
}

bool IsOwnedName(std::string_view workload, std::string_view pod) {
  if (pod.size() <= workload.size() + 1 || pod.substr(0, workload.size()) != workload ||
      pod[workload.size()] != '-') {
    return false;
  }
  std::string_view suffix = pod.substr(workload.size() + 1);
  size_t dash = suffix.find('-');
  if (dash == std::string_view::npos) return IsOrdinal(suffix) || IsGenerated(suffix, 5, 5);
  return IsGenerated(suffix.substr(0, dash), kShortestHash, kLongestHash) &&
         IsGenerated(suffix.substr(dash + 1), 5, 5);
}

bool GlobMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// Reads the text; gathers everything that is wrong with it.
class Expectations::Reader {
 public:
  Reader(Expectations& out, const std::string& file) : out_(out), file_(file) {}

  void Read(std::string_view text) {
    model::ParsedText parsed = model::ParseText(text, file_);
    for (const model::Diagnostic& d : parsed.diagnostics) Add(d.ToString());
    if (parsed.documents.size() > 1) Complain(parsed.documents[1].line, "one document is enough");
    for (const Value& document : parsed.documents) ReadTop(document);
  }
  const std::string& errors() const { return errors_; }

 private:
  void Add(const std::string& error) { errors_ += (errors_.empty() ? "" : "\n") + error; }
  void Complain(int line, const std::string& what) {
    Add(file_ + ":" + std::to_string(line) + ": " + what);
  }

  void ReadTop(const Value& top) {
    if (top.type != Value::Type::kMapping) {
      return Complain(top.line, "write lists under \"allowed:\" and \"denied:\"");
    }
    if (const Value* ns = top.Find("namespace")) {
      if (!ns->IsString()) return Complain(ns->line, "namespace: give a name");
      namespace_ = ns->text;
    }
    for (const auto& [key, value] : top.members) {
      if (key == "namespace") continue;
      if (key == "allowed" || key == "denied") {
        ReadList(value, key == "allowed");
      } else {
        Complain(value.line, "\"" + key + "\": only namespace, allowed and denied are known here");
      }
    }
  }

  void ReadList(const Value& list, bool allows) {
    if (list.type == Value::Type::kNull) return;
    if (list.type != Value::Type::kSequence) {
      return Complain(list.line, "give a list: - frontend -> backend:8080");
    }
    for (const Value& item : list.items) {
      if (!item.IsString()) {
        Complain(item.line, "not a line such as frontend -> backend:8080 (quote it?)");
        continue;
      }
      auto line = ReadLine(item.text);
      if (!line) {
        Complain(item.line, line.error().message);
        continue;
      }
      line->allows = allows;
      line->number = item.line;
      out_.lines_.push_back(std::move(*line));
    }
  }

  Result<Line> ReadLine(std::string_view text) const {
    size_t arrow = text.find(kArrow);
    if (arrow == std::string_view::npos) {
      return Error{"\"" + std::string(text) + "\" lacks an arrow: source -> destination:port"};
    }
    Line line;
    line.text = std::string(text);
    std::string_view left = Trimmed(text.substr(0, arrow));
    auto from = ReadWho(left);
    if (!from) return std::move(from).error();
    auto split = Split(Trimmed(text.substr(arrow + kArrow.size())));
    if (!split) return std::move(split).error();
    auto to = ReadWho(split->party);
    if (!to) return std::move(to).error();
    line.from = std::move(*from);
    line.to = std::move(*to);
    for (std::string_view rest = split->ports; !rest.empty();) {
      size_t comma = rest.find(',');
      auto port = ReadPort(Trimmed(rest.substr(0, comma)));
      if (!port) return std::move(port).error();
      line.ports.push_back(std::move(*port));
      rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    }
    return line;
  }

  Result<Who> ReadWho(std::string_view text) const {
    if (text == "any") return Who(Word::kAny);
    if (text == "pods") return Who(Word::kPods);
    if (text == "outside") return Who(Word::kOutside);
    if (auto cidr = net::Cidr::Parse(text)) return Who(*cidr);
    if (auto address = net::Address::Parse(text)) {
      return Who(net::Cidr(*address, address->IsV4() ? 32 : 128));
    }
    size_t slash = text.find('/');
    bool has_namespace = slash != std::string_view::npos;
    std::string_view ns = has_namespace ? text.substr(0, slash) : std::string_view(namespace_);
    std::string_view name = has_namespace ? text.substr(slash + 1) : text;
    if (!IsPatternName(ns) || !IsPatternName(name)) {
      return Error{"\"" + std::string(text) +
                   "\" is no pod, workload, pattern, address or CIDR, nor any, pods or outside"};
    }
    return Who(ObjectName{std::string(ns), std::string(name)});
  }

  static Result<PortPattern> ReadPort(std::string_view text) {
    if (text == "*") return PortPattern(AnyPort{});
    bool starts_with_digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
    auto port = probe::ParsePort(text);
    if (port) return PortPattern(*port);
    size_t slash = text.find('/');
    std::string_view name = text.substr(0, slash);
    if (starts_with_digit || !IsPatternName(name) || IsGlob(name)) return std::move(port).error();
    NamedPort named{std::string(name), net::Protocol::kTcp};
    if (slash != std::string_view::npos) {
      auto protocol = probe::ParseProtocolName(text.substr(slash + 1));
      if (!protocol) return std::move(protocol).error();
      named.protocol = *protocol;
    }
    return PortPattern(std::move(named));
  }

  Expectations& out_;
  const std::string& file_;
  std::string namespace_ = std::string(kDefaultNamespace);
  std::string errors_;
};

Result<Expectations> Expectations::Parse(std::string_view text, const std::string& file) {
  Expectations out;
  out.file_ = file;
  Reader reader(out, out.file_);
  reader.Read(text);
  if (!reader.errors().empty()) return Error{reader.errors()};
  return out;
}

Status Expectations::Bind(const World& world) {
  pods_.clear();
  for (const Side& side : world.LivePods()) pods_.push_back(side.pod->name);
  std::string errors;
  for (const Line& line : lines_) {
    for (const Who* who : {&line.from, &line.to}) {
      const auto* name = std::get_if<ObjectName>(who);
      if (name == nullptr || std::any_of(pods_.begin(), pods_.end(), [&](const ObjectName& pod) {
            return GlobMatches(name->ns, pod.ns) &&
                   (GlobMatches(name->name, pod.name) || IsOwnedName(name->name, pod.name));
          })) {
        continue;
      }
      errors += (errors.empty() ? "" : "\n") + file_ + ":" + std::to_string(line.number) +
                ": no pod or workload matches \"" + name->ToString() + "\" in \"" + line.text +
                "\"";
    }
  }
  return errors.empty() ? Ok() : Status(Error{errors});
}

// No pod has exactly this name.
bool Expectations::IsWorkloadName(const ObjectName& name) const {
  return !IsGlob(name.name) && !IsGlob(name.ns) &&
         !std::binary_search(pods_.begin(), pods_.end(), name);
}

bool Expectations::Matches(const Who& who, const Side& side, const net::Address& address) const {
  if (const auto* word = std::get_if<Word>(&who)) {
    return *word == Word::kAny || (*word == Word::kPods) == (side.pod != nullptr);
  }
  if (const auto* cidr = std::get_if<net::Cidr>(&who)) return !side.pod && cidr->Contains(address);
  if (!side.pod) return false;
  const auto& name = std::get<ObjectName>(who);
  const ObjectName& pod = side.pod->name;
  if (!GlobMatches(name.ns, pod.ns)) return false;
  if (GlobMatches(name.name, pod.name)) return true;
  return IsWorkloadName(name) && IsOwnedName(name.name, pod.name);
}

bool Expectations::Matches(const Line& line, const Row& row) const {
  if (!Matches(line.from, row.from, row.source)) return false;
  if (!Matches(line.to, row.to, row.destination)) return false;
  if (line.ports.empty()) return true;
  return std::any_of(line.ports.begin(), line.ports.end(), [&](const PortPattern& pattern) {
    if (std::holds_alternative<AnyPort>(pattern)) return true;
    if (const auto* port = std::get_if<Port>(&pattern)) {
      return port->number == row.port.number &&
             probe::OnWire(port->protocol, row.destination) ==
                 probe::OnWire(row.port.protocol, row.destination);
    }
    const auto& named = std::get<NamedPort>(pattern);
    if (!row.to.pod || named.protocol != row.port.protocol) return false;
    const auto& declared = row.to.pod->ports;
    return std::any_of(declared.begin(), declared.end(), [&](const model::ContainerPort& port) {
      return port.name == named.name && port.protocol == named.protocol &&
             port.port == row.port.number;
    });
  });
}

Expected Expectations::Of(const Row& row) const {
  auto by = [&](const Line& line) {
    return (line.allows ? "allowed by " : "denied by ") + file_ + ":" +
           std::to_string(line.number) + " (" + line.text + ")";
  };
  const Line* allowing = nullptr;
  for (const Line& line : lines_) {
    if (!Matches(line, row)) continue;
    if (!line.allows) return {false, by(line)};
    if (allowing == nullptr) allowing = &line;
  }
  if (allowing != nullptr) return {true, by(*allowing)};
  if (row.from.name == row.to.name) return {true, "a pod can always reach itself"};
  return {false, "not listed in " + file_};
}

std::vector<net::Address> Expectations::Addresses(Who Line::*side) const {
  std::vector<net::Address> out;
  for (const Line& line : lines_) {
    const auto* cidr = std::get_if<net::Cidr>(&(line.*side));
    if (cidr == nullptr || cidr->mapped_length() != 128) continue;
    if (std::find(out.begin(), out.end(), cidr->address()) == out.end()) {
      out.push_back(cidr->address());
    }
  }
  return out;
}

std::vector<net::Address> Expectations::Sources() const { return Addresses(&Line::from); }
std::vector<net::Address> Expectations::Destinations() const { return Addresses(&Line::to); }

std::vector<Port> Expectations::PortsOf(const Side& to) const {
  std::vector<Port> out;
  for (const Line& line : lines_) {
    if (!Matches(line.to, to, to.addresses.front())) continue;
    for (const PortPattern& pattern : line.ports) {
      const auto* port = std::get_if<Port>(&pattern);
      if (port != nullptr && std::find(out.begin(), out.end(), *port) == out.end()) {
        out.push_back(*port);
      }
    }
  }
  return out;
}

}  // namespace sallyport::cli

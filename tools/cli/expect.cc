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

// The name is that of the pod, a pattern of it, or that of its workload.
bool MayMean(const ObjectName& name, const ObjectName& pod) {
  return GlobMatches(name.ns, pod.ns) &&
         (GlobMatches(name.name, pod.name) || IsOwnedName(name.name, pod.name));
}

std::string Joined(const std::vector<net::Address>& addresses) {
  std::string out;
  for (const net::Address& address : addresses)
    out += (out.empty() ? "" : ", ") + address.ToString();
  return out.empty() ? "none" : out;
}

bool HoldsOne(const net::Cidr& cidr, const std::vector<net::Address>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const net::Address& address) { return cidr.Contains(address); });
}

// By the namespace and label under which every cluster has it; its Deployment's name varies.
bool IsClusterDns(const model::Pod& pod) {
  const std::string* app = pod.labels.Find("k8s-app");
  return pod.name.ns == "kube-system" && app != nullptr && *app == "kube-dns";
}

bool IsSingle(const net::Cidr& cidr) { return cidr.mapped_length() == 128; }

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
    if (!says_something_ && errors_.empty()) {
      Add(file_ +
          " says nothing: list who may connect under \"allowed:\", or write \"allowed: []\" where "
          "nobody may");
    }
  }
  const std::string& errors() const { return errors_; }

 private:
  void Add(const std::string& error) { errors_ += (errors_.empty() ? "" : "\n") + error; }
  void Complain(int line, const std::string& what) {
    Add(file_ + ":" + std::to_string(line) + ": " + what);
  }

  void ReadTop(const Value& top) {
    if (top.type == Value::Type::kNull) return;
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
        says_something_ = true;
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
    if (text == "cluster-dns") return Who(Word::kClusterDns);
    auto cidr = net::Cidr::Parse(text);
    if (cidr) return Who(*cidr);
    if (auto address = net::Address::Parse(text)) {
      return Who(net::Cidr(*address, address->IsV4() ? 32 : 128));
    }
    size_t slash = text.find('/');
    bool has_namespace = slash != std::string_view::npos;
    if (has_namespace && net::Address::Parse(text.substr(0, slash))) {
      return std::move(cidr).error();
    }
    std::string_view ns = has_namespace ? text.substr(0, slash) : std::string_view(namespace_);
    std::string_view name = has_namespace ? text.substr(slash + 1) : text;
    if (!IsPatternName(ns) || !IsPatternName(name)) {
      return Error{"\"" + std::string(text) +
                   "\" is no pod, workload, pattern, address or CIDR, nor any, pods, outside or "
                   "cluster-dns"};
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
  bool says_something_ = false;
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

template <typename Complaints>
Status Expectations::CheckLines(Complaints complaints) const {
  std::string errors;
  for (const Line& line : lines_) {
    for (const std::string& complaint : complaints(line)) {
      if (complaint.empty()) continue;
      errors += (errors.empty() ? "" : "\n") + file_ + ":" + std::to_string(line.number) + ": " +
                complaint + " in \"" + line.text + "\"";
    }
  }
  return errors.empty() ? Ok() : Status(Error{errors});
}

std::string Expectations::WhyNobody(const Who& who, const World& world) const {
  const auto* name = std::get_if<ObjectName>(&who);
  auto is_meant = [&](const ObjectName& pod) { return MayMean(*name, pod); };
  if (name == nullptr || std::any_of(pods_.begin(), pods_.end(), is_meant)) return "";
  for (const auto& [pod_name, pod] : world.snapshot().pods) {
    if (!is_meant(pod_name)) continue;
    return "pod " + pod_name.ToString() +
           (pod->host_network ? " is on its node's network: policy does not see it as a pod;"
                              : " has ended: policy does not see it;") +
           " nobody else matches \"" + name->ToString() + "\"";
  }
  return "no pod or workload matches \"" + name->ToString() + "\"";
}

std::vector<Port> Expectations::PortsMeant(const Line& line, const PortPattern& pattern,
                                           const World& world) const {
  if (const auto* port = std::get_if<Port>(&pattern)) return {*port};
  const auto& named = std::get<NamedPort>(pattern);
  std::vector<Port> out;
  for (const Side& side : world.LivePods()) {
    if (!Matches(line.to, side, side.addresses.front())) continue;
    for (const model::ContainerPort& port : side.pod->ports) {
      if (port.name == named.name && port.protocol == named.protocol) {
        out.push_back({port.protocol, port.port});
      }
    }
  }
  return out;
}

Status Expectations::Bind(const World& world) {
  pods_.clear();
  for (const Side& side : world.LivePods()) pods_.push_back(side.pod->name);
  return CheckLines([&](const Line& line) {
    std::vector<std::string> out{WhyNobody(line.from, world), WhyNobody(line.to, world)};
    if (!out.back().empty()) return out;  // nobody has ports
    for (const PortPattern& pattern : line.ports) {
      const auto* named = std::get_if<NamedPort>(&pattern);
      if (named == nullptr || !PortsMeant(line, pattern, world).empty()) continue;
      out.push_back("no destination has a " + std::string(net::ToString(named->protocol)) +
                    " port named \"" + named->name + "\"");
    }
    return out;
  });
}

Status Expectations::CheckPorts(const std::vector<Port>& asked, const World& world) const {
  return CheckLines([&](const Line& line) {
    std::vector<std::string> out;
    for (const PortPattern& pattern : line.ports) {
      if (std::holds_alternative<AnyPort>(pattern)) continue;
      std::vector<Port> meant = PortsMeant(line, pattern, world);
      bool is_asked =
          std::find_first_of(meant.begin(), meant.end(), asked.begin(), asked.end()) != meant.end();
      if (!is_asked) out.push_back("--ports leaves out " + meant.front().ToString());
    }
    return out;
  });
}

Status Expectations::CheckAddresses(const std::vector<net::Address>& outside,
                                    const std::vector<net::Address>& nodes) const {
  return CheckLines([&](const Line& line) {
    std::vector<std::string> out;
    for (const Who* who : {&line.from, &line.to}) {
      const auto* cidr = std::get_if<net::Cidr>(who);
      if (cidr == nullptr || HoldsOne(*cidr, outside)) continue;
      if (IsSingle(*cidr) && HoldsOne(*cidr, nodes)) continue;
      out.push_back((IsSingle(*cidr) ? cidr->address().ToString() : cidr->ToString()) +
                    " cannot be tried (the lab's outside: " + Joined(outside) +
                    "; its nodes: " + Joined(nodes) + ")");
    }
    return out;
  });
}

bool Expectations::NamesOutside(const std::vector<net::Address>& outside) const {
  auto names = [&](const Who& who) {
    if (const auto* word = std::get_if<Word>(&who)) return *word == Word::kOutside;
    const auto* cidr = std::get_if<net::Cidr>(&who);
    return cidr != nullptr && HoldsOne(*cidr, outside);
  };
  return std::any_of(lines_.begin(), lines_.end(),
                     [&](const Line& line) { return names(line.from) || names(line.to); });
}

// No pod has exactly this name.
bool Expectations::IsWorkloadName(const ObjectName& name) const {
  return !IsGlob(name.name) && !IsGlob(name.ns) &&
         !std::binary_search(pods_.begin(), pods_.end(), name);
}

bool Expectations::Matches(const Who& who, const Side& side, const net::Address& address) const {
  if (const auto* word = std::get_if<Word>(&who)) {
    if (*word == Word::kClusterDns) return side.pod && IsClusterDns(*side.pod);
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
    if (cidr == nullptr || !IsSingle(*cidr)) continue;
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

// SPDX-License-Identifier: Apache-2.0
#include "lab/dns_records.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <sstream>

#include "lab/endpoint_slices.h"

namespace sallyport::lab {
namespace {

constexpr size_t kLongestDomain = 253;
constexpr size_t kLongestLabel = 63;

// With a final dot and in lower case; nothing where it is no name of hosts or services.
std::optional<std::string> DnsName(std::string text) {
  if (text.ends_with('.')) text.pop_back();
  if (text.empty() || text.size() > kLongestDomain) return std::nullopt;
  size_t label = 0;
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!letter && (c != '.' || label == 0)) return std::nullopt;
    label = c == '.' ? 0 : label + 1;
    if (label > kLongestLabel) return std::nullopt;
  }
  return text + ".";
}

// 10.0.0.1 -> 1.0.0.10.in-addr.arpa. (RFC 1035 3.5); IPv6 by nibbles (RFC 3596 2.5).
std::string ReverseName(const net::Address& address) {
  std::string out;
  const net::Address::Bytes& bytes = address.bytes();
  if (address.IsV4()) {
    for (size_t i = 16; i > 12; --i) out += std::to_string(bytes[i - 1]) + ".";
    return out + "in-addr.arpa.";
  }
  static constexpr std::string_view kHex = "0123456789abcdef";
  for (size_t i = 16; i > 0; --i)
    out.append({kHex[bytes[i - 1] & 15], '.', kHex[bytes[i - 1] >> 4], '.'});
  return out + "ip6.arpa.";
}

std::string Dashed(const net::Address& address) {
  std::string text = address.ToString();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  return text;
}

std::string Lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return text;
}

class RecordMaker {
 public:
  explicit RecordMaker(const DnsInputs& inputs) : inputs_(inputs) {
    for (const Value* slice : inputs.slices)
      slices_[{NameOf(*slice).ns, TextAt(*slice, {"metadata", "labels", kServiceNameLabel})}]
          .push_back(slice);
  }

  DnsRecords Make() {
    Add("dns-version." + inputs_.domain, "TXT \"1.1.0\"");
    for (const Value* service : inputs_.services) AddService(*service);
    for (const Value* pod : inputs_.pods) AddPod(*pod);
    for (const DnsHost& host : inputs_.hosts) {
      for (const std::string& name : host.names) AddAddress(name, host.address);
      if (!host.names.empty()) AddReverse(host.address, host.names.front());
    }
    // A name with a CNAME has nothing else (RFC 1034 3.6.2), nor a second one.
    for (auto& [name, records] : records_)
      for (const std::string& record : records)
        if (record.starts_with("CNAME ")) {
          records = {record};
          break;
        }
    return std::move(records_);
  }

 private:
  void Add(const std::string& name, const std::string& record) {
    if (auto valid = DnsName(name)) records_[*valid].insert(record);
  }
  void AddAddress(const std::string& name, const net::Address& address) {
    Add(name, (address.IsV4() ? "A " : "AAAA ") + address.ToString());
  }
  void AddReverse(const net::Address& address, const std::string& name) {
    if (auto valid = DnsName(name)) Add(ReverseName(address), "PTR " + *valid);
  }
  void AddPort(const std::string& service, const Value& port, const std::string& target) {
    std::string name = TextAt(port, {"name"});
    std::string protocol = TextAt(port, {"protocol"});
    auto number = IntegerAt(port, {"port"});
    auto valid = DnsName(target);
    if (name.empty() || !number || !valid) return;
    Add("_" + name + "._" + Lower(protocol.empty() ? "tcp" : protocol) + "." + service,
        "SRV 0 100 " + std::to_string(*number) + " " + *valid);
  }

  void AddService(const Value& service) {
    model::ObjectName id = NameOf(service);
    std::string name = id.name + "." + id.ns + ".svc." + inputs_.domain;
    if (TextAt(service, {"spec", "type"}) == "ExternalName") {
      if (auto target = DnsName(TextAt(service, {"spec", "externalName"})))
        Add(name, "CNAME " + *target);
      return;
    }
    std::vector<std::string> addresses = Texts(At(service, {"spec", "clusterIPs"}));
    if (addresses.empty()) addresses.push_back(TextAt(service, {"spec", "clusterIP"}));
    if (addresses.front() == "None") return AddHeadless(id, name);
    bool any = false;
    for (const std::string& text : addresses) {
      auto address = net::Address::Parse(text);
      if (!address) continue;
      any = true;
      AddAddress(name, *address);
      AddReverse(*address, name);
    }
    if (!any) return;
    for (const Value& port : Items(At(service, {"spec", "ports"}))) AddPort(name, port, name);
  }

  // Without a ready endpoint there is no such name.
  void AddHeadless(const model::ObjectName& id, const std::string& name) {
    for (const Value* slice : slices_[id]) {
      for (const Value& endpoint : Items(slice->Find("endpoints"))) {
        const Value* ready = At(endpoint, {"conditions", "ready"});
        if (ready && ready->type == Value::Type::kBool && !ready->boolean) continue;
        for (const std::string& text : Texts(endpoint.Find("addresses"))) {
          auto address = net::Address::Parse(text);
          if (!address) continue;
          std::string hostname = TextAt(endpoint, {"hostname"});
          std::string own = (hostname.empty() ? Dashed(*address) : hostname) + "." + name;
          AddAddress(name, *address);
          AddAddress(own, *address);
          AddReverse(*address, own);
          for (const Value& port : Items(slice->Find("ports"))) AddPort(name, port, own);
        }
      }
    }
  }

  void AddPod(const Value& pod) {
    std::string phase = TextAt(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") return;
    for (const Value& item : Items(At(pod, {"status", "podIPs"})))
      if (auto address = net::Address::Parse(TextAt(item, {"ip"})))
        AddAddress(Dashed(*address) + "." + NameOf(pod).ns + ".pod." + inputs_.domain, *address);
  }

  const DnsInputs& inputs_;
  std::map<model::ObjectName, std::vector<const Value*>> slices_;
  DnsRecords records_;
};

}  // namespace

Result<std::vector<DnsHost>> ParseHosts(std::string_view text) {
  std::vector<DnsHost> out;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    auto address = net::Address::Parse(word);
    if (!address)
      return std::move(address).error().Context("hosts, line " + std::to_string(number));
    DnsHost host{*address, {}};
    while (words >> word) {
      if (!DnsName(word))
        return Error{"hosts, line " + std::to_string(number) + ": " + word + " is no host name", 0};
      host.names.push_back(word);
    }
    out.push_back(std::move(host));
  }
  return out;
}

DnsRecords MakeDnsRecords(const DnsInputs& inputs) { return RecordMaker(inputs).Make(); }

std::string ZoneText(const DnsRecords& records, const std::string& domain, uint32_t serial) {
  std::string ttl = std::to_string(kDnsTtl);
  std::string server = "ns.dns." + domain + ".";
  std::string out = "$TTL " + ttl + "\n. SOA " + server + " hostmaster." + domain + ". " +
                    std::to_string(serial) + " 7200 1800 86400 " + ttl + "\n. NS " + server + "\n";
  for (const auto& [name, data] : records)
    for (const std::string& record : data) out.append(name).append(" " + record + "\n");
  return out;
}

}  // namespace sallyport::lab

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_tables.h"

#include <algorithm>
#include <array>
#include <map>

namespace sallyport::dataplane {
namespace {

constexpr uint32_t kWords = SP_PAGE_PORTS / 64;
constexpr uint32_t kFirst = 2;  // 0 and 1: nothing, everything

// One protocol's ports, page by page; pages that are not mentioned are empty.
std::map<uint32_t, sp_port_page> Pages(const std::vector<net::PortRange>& ranges) {
  std::map<uint32_t, sp_port_page> pages;
  for (const net::PortRange& range : ranges) {
    for (uint32_t port = range.first; port <= range.last;) {
      uint32_t number = port / SP_PAGE_PORTS;
      uint32_t word = port % SP_PAGE_PORTS / 64;
      uint32_t count = std::min<uint32_t>(64 - port % 64, range.last - port + 1u);
      uint64_t bits = count == 64 ? ~uint64_t{0} : ((uint64_t{1} << count) - 1) << port % 64;
      pages[number].bits[word] |= bits;
      port += count;
    }
  }
  return pages;
}

bool IsFull(const sp_port_page& page) {
  return std::all_of(page.bits, page.bits + kWords, [](uint64_t word) { return ~word == 0; });
}

}  // namespace

void PortTables::Numbers::Fill() {
  free_.clear();
  for (auto i = static_cast<uint32_t>(refs_.size() - 1); i >= kFirst; --i)
    if (refs_[i] == 0) free_.push_back(i);
}

uint32_t PortTables::Numbers::Take() {
  if (free_.empty()) return 0;
  uint32_t number = free_.back();
  free_.pop_back();
  return number;
}

PortTables::PortTables(Tables& tables, const Surroundings& around)
    : set_memory_(tables.port_sets),
      page_memory_(tables.port_pages),
      around_(around),
      sets_(set_memory_.size()),
      pages_(page_memory_.size()) {}

uint32_t PortTables::InternPage(const sp_port_page& page) {
  if (IsFull(page)) return SP_PAGE_ALL;
  uint64_t hash = HashContent(page);
  uint32_t number = pages_.index().Find(hash, [&](uint32_t i) {
    return std::equal(page.bits, page.bits + kWords, page_memory_[i].bits);
  });
  if (number == ContentIndex::kNone) {
    number = pages_.Take();
    if (number == 0) return SP_PAGE_NONE;
    for (uint32_t w = 0; w < kWords; ++w)
      around_.pen.Update(page_memory_[number].bits[w], page.bits[w]);
    pages_.index().Insert(hash, number);
  }
  ++pages_.refs(number);
  return number;
}

void PortTables::UnrefPage(uint32_t number) {
  if (number < kFirst || --pages_.refs(number) > 0) return;
  pages_.index().Erase(HashContent(page_memory_[number]), number);
  pages_.Free(number);
}

PortTables::Interned PortTables::Intern(const policy::PortSet& set) {
  const std::vector<net::PortRange>* protocols[SP_PROTOCOLS] = {&set.tcp, &set.udp, &set.sctp};
  sp_port_set content{};
  std::vector<uint32_t> held;
  auto drop = [&] {
    for (uint32_t page : held) UnrefPage(page);
  };
  for (int p = 0; p < SP_PROTOCOLS; ++p) {
    for (const auto& [page, bits] : Pages(*protocols[p])) {
      uint32_t number = InternPage(bits);
      if (number == SP_PAGE_NONE) {
        drop();
        return {.full = "port_pages"};
      }
      content.page[p][page] = number;
      held.push_back(number);
    }
  }
  if (held.empty()) return {SP_PORTS_NONE};
  uint64_t hash = HashContent(content);
  uint32_t found = sets_.index().Find(hash, [&](uint32_t i) {
    return std::memcmp(&content, &set_memory_[i], sizeof content) == 0;
  });
  if (found != ContentIndex::kNone) {
    drop();
    ++sets_.refs(found);
    return {found};
  }
  uint32_t number = sets_.Take();
  if (number == 0) {
    drop();
    return {.full = "port_sets"};
  }
  for (int p = 0; p < SP_PROTOCOLS; ++p)
    for (int i = 0; i < SP_PAGES_PER_PROTOCOL; ++i)
      around_.pen.Update(set_memory_[number].page[p][i], content.page[p][i]);
  sets_.index().Insert(hash, number);
  sets_.refs(number) = 1;
  return {number};
}

void PortTables::Ref(uint32_t number) {
  if (number >= kFirst) ++sets_.refs(number);
}

void PortTables::Unref(uint32_t number) {
  if (number < kFirst || --sets_.refs(number) > 0) return;
  sp_port_set& set = set_memory_[number];
  sets_.index().Erase(HashContent(set), number);
  sets_.Free(number);
  for (const auto& protocol : set.page)
    for (uint32_t page : protocol) UnrefPage(page);
}

void PortTables::Adopt(uint32_t number) {
  if (number < kFirst) return;
  CHECK(number < set_memory_.size()) << "pinned rules refer to port set " << number;
  if (sets_.refs(number)++ > 0) return;
  sp_port_set& set = set_memory_[number];
  sets_.index().Insert(HashContent(set), number);
  for (const auto& protocol : set.page) {
    for (uint32_t page : protocol) {
      if (page < kFirst) continue;
      CHECK(page < page_memory_.size()) << "pinned port sets refer to page " << page;
      if (pages_.refs(page)++ == 0) pages_.index().Insert(HashContent(page_memory_[page]), page);
    }
  }
}

void PortTables::AdoptDone() {
  sets_.Fill();
  pages_.Fill();
  // The pages with a fixed meaning are read like the others.
  for (uint32_t w = 0; w < kWords; ++w) {
    around_.pen.Update(page_memory_[SP_PAGE_NONE].bits[w], uint64_t{0});
    around_.pen.Update(page_memory_[SP_PAGE_ALL].bits[w], ~uint64_t{0});
  }
}

}  // namespace sallyport::dataplane

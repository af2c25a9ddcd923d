// SPDX-License-Identifier: Apache-2.0
// Port sets in the kernel's form: pages of bits, and sets of page numbers, both interned by content
// and counted. Immutable while in use. Unref() frees at once: the caller sees to it that no program
// can still read the set (it was never in force, or a grace period has passed).
#pragma once

#include <vector>

#include "dataplane/content_index.h"
#include "dataplane/tables.h"
#include "policy/image.h"

namespace sallyport::dataplane {

class PortTables {
 public:
  PortTables(Tables& tables, const Surroundings& around);

  struct Interned {
    uint32_t number = SP_PORTS_NONE;
    const char* full = nullptr;  // the table that had no room: nothing changed
  };
  // The kernel's number for the set, counted once more: SP_PORTS_NONE where no port is allowed.
  Interned Intern(const policy::PortSet& set);
  // Once more (less) of a number that stands in a rule; SP_PORTS_NONE and SP_PORTS_ALL are free.
  void Ref(uint32_t number);
  void Unref(uint32_t number);

  // At the start, for each rule in force: the set is in use. Then AdoptDone() frees the rest.
  void Adopt(uint32_t number);
  void AdoptDone();

  size_t sets_used() const { return sets_.used(); }
  size_t pages_used() const { return pages_.used(); }
  size_t sets_capacity() const { return set_memory_.size(); }
  size_t pages_capacity() const { return page_memory_.size(); }

 private:
  // Numbers of one table: which are free, how often each is used. 0 and 1 have a fixed meaning.
  class Numbers {
   public:
    explicit Numbers(size_t capacity) : refs_(capacity, 0), index_(capacity) {}
    void Fill();  // every number without references is free
    ContentIndex& index() { return index_; }
    uint32_t& refs(uint32_t number) { return refs_[number]; }
    uint32_t Take();  // 0: full
    void Free(uint32_t number) { free_.push_back(number); }
    size_t used() const { return refs_.size() - free_.size(); }

   private:
    std::vector<uint32_t> refs_;
    ContentIndex index_;
    std::vector<uint32_t> free_;
  };

  uint32_t InternPage(const sp_port_page& page);  // SP_PAGE_NONE: full
  void UnrefPage(uint32_t number);

  std::span<sp_port_set> set_memory_;
  std::span<sp_port_page> page_memory_;
  const Surroundings& around_;
  Numbers sets_;
  Numbers pages_;
};

}  // namespace sallyport::dataplane

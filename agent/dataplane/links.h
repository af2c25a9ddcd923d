// SPDX-License-Identifier: Apache-2.0
// Two programs of ours on each interface, by its role: as tcx links, pinned as
// PINS/links/IFINDEX-{egress,ingress}, or as clsact filters, which need no pin. The kernel is asked
// each time where they are, so what somebody else took off or displaced is noticed, and put back by
// the next Attach(). Whose a program is, program_pins.h knows.
//
// A tcx link takes the kernel some milliseconds, a filter some microseconds, and both may stand on
// an interface. So filters hold the place where links have to come, or to move to the front.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/dataplane.h"

namespace sallyport::dataplane {

class Links {
 public:
  struct Programs {
    struct Pair {  // [enum sp_direction], for the hooks as they are at a pod's interface
      int fd[2] = {-1, -1};
      uint32_t id[2] = {};
    };
    Pair of[kRoles];
    std::set<uint32_t> kept;  // others that stay pinned: these lead to them
    int ways = -1;            // through which they lead to long_way: program_pins.h
    Pair& operator[](Role role) { return of[static_cast<int>(role)]; }
    const Pair& operator[](Role role) const { return of[static_cast<int>(role)]; }
  };
  // Requires that the pins are locked. Puts these programs wherever those of an earlier instance
  // are, each in one step, and removes the pins of interfaces that have gone.
  static Result<std::unique_ptr<Links>> Open(const std::string& pins, const Programs& programs,
                                             AttachMode mode);
  virtual ~Links() = default;

  // As Dataplane's.
  virtual Status Attach(uint32_t ifindex, Role role) = 0;
  virtual void Close(const std::vector<uint32_t>& interfaces) = 0;
  virtual std::vector<Disturbance> Disturbed(const std::set<uint32_t>& interfaces,
                                             bool filters) = 0;
  virtual Status Detach(uint32_t ifindex) = 0;
  virtual std::map<uint32_t, Role> Attached() = 0;

  // Takes away every link below `pins`, and every filter whose program is pinned there.
  static Status RemoveAll(const std::string& pins);
};

}  // namespace sallyport::dataplane

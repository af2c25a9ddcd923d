// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stand_by.h"

#include <cerrno>

#include "abi/tables.h"
#include "base/log.h"
#include "dataplane/loader.h"

namespace sallyport::dataplane {
Status StandBy(const std::string& pins, const std::function<bool()>& pause) {
  for (bool told = false;; told = true) {
    Result<UniqueFd> lock = LockPins(pins);
    if (lock) return Ok();  // and gives it back: it is taken anew with all the rest
    if (lock.error().code != EWOULDBLOCK) return std::move(lock).error();
    Result<uint32_t> version = PinnedVersion(pins);
    if (!version) return std::move(version).error();
    if (*version > SP_ABI_VERSION)
      return Error{"the agent that runs keeps version " + std::to_string(*version) +
                       " of the tables in " + pins + ", this one knows version " +
                       std::to_string(SP_ABI_VERSION) +
                       " and could not take them over: it leaves the other alone",
                   0};
    if (!told) LogInfo("standing by for the agent that uses " + pins);
    if (!pause()) return Error{"ended while another agent runs", ECANCELED};
  }
}

}  // namespace sallyport::dataplane

// SPDX-License-Identifier: Apache-2.0
// The two ends of very many connections, each a loop for a process of its own.
#pragma once

#include <cstdint>

namespace sallyport::lab {

enum class MassVerb : uint32_t { kListen, kOpen, kClose, kPass };

struct MassOrder {
  MassVerb verb = MassVerb::kPass;
  uint32_t count = 0;
  uint32_t patience_seconds = 0;
  uint16_t port = 0;
  uint8_t to[16] = {};
  char netns[200] = {};
};

struct MassAnswer {
  uint32_t count = 0;
  uint32_t sources = 0;
  uint8_t source[8][16] = {};
  char trouble[200] = {};  // "": all is well
};

// Does what it is told at `control`, a socket of packets, until that is closed.
void RunNearEnd(int control);
void RunFarEnd(int control);

}  // namespace sallyport::lab

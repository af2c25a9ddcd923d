// SPDX-License-Identifier: Apache-2.0
// Where the running kernel keeps what its programs' context does not show of a packet.
#pragma once

#include "abi/tables.h"
#include "base/result.h"

struct btf;

namespace sallyport::dataplane {

// Of struct sk_buff, from the kernel's own description of its types (/sys/kernel/btf/vmlinux).
// Error: there is none, it lacks a field, or programs may not read the kernel's memory (lockdown).
Result<sp_skb_layout> FindSkbLayout();

// The same from `types`. Error: a field is missing, or not as it is expected.
Result<sp_skb_layout> SkbLayoutIn(const btf& types);

}  // namespace sallyport::dataplane

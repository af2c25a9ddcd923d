// SPDX-License-Identifier: Apache-2.0
#include "dataplane/skb_layout.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <bit>
#include <memory>
#include <optional>
#include <string_view>

namespace sallyport::dataplane {
namespace {

// In bits, from the start of the outermost struct.
struct Field {
  uint32_t at = 0;
  uint32_t size = 0;  // of a bit field; 0: it is none
};

// Fields of unnamed structs and unions count as the outer one's.
std::optional<Field> Find(const btf& types, uint32_t type, std::string_view name) {
  const btf_type* composite = btf__type_by_id(&types, type);
  while (composite && (btf_is_mod(composite) || btf_is_typedef(composite)))
    composite = btf__type_by_id(&types, composite->type);
  if (!composite || !btf_is_composite(composite)) return std::nullopt;
  const btf_member* members = btf_members(composite);
  for (uint32_t i = 0; i < btf_vlen(composite); ++i) {
    Field here{btf_member_bit_offset(composite, i), btf_member_bitfield_size(composite, i)};
    std::string_view called = btf__name_by_offset(&types, members[i].name_off);
    if (called == name) return here;
    if (!called.empty()) continue;
    if (std::optional<Field> inner = Find(types, members[i].type, name))
      return Field{here.at + inner->at, inner->size};
  }
  return std::nullopt;
}

}  // namespace

Result<sp_skb_layout> SkbLayoutIn(const btf& types) {
  int skb = btf__find_by_name_kind(&types, "sk_buff", BTF_KIND_STRUCT);
  if (skb < 0) return Error{"the kernel describes no struct sk_buff", 0};
  sp_skb_layout out{};
  auto whole_word = [&](const char* name, __u16* at) -> Status {
    std::optional<Field> field = Find(types, static_cast<uint32_t>(skb), name);
    if (!field || field->size != 0 || field->at % 8 != 0 || field->at / 8 > UINT16_MAX)
      return Error{std::string("the kernel's struct sk_buff has no usable ") + name, 0};
    *at = static_cast<__u16>(field->at / 8);
    return Ok();
  };
  if (Status s = whole_word("csum_start", &out.csum_start); !s.ok()) return std::move(s).error();
  if (Status s = whole_word("csum_offset", &out.csum_offset); !s.ok()) return std::move(s).error();
  if (Status s = whole_word("network_header", &out.network_header); !s.ok())
    return std::move(s).error();
  std::optional<Field> summed = Find(types, static_cast<uint32_t>(skb), "ip_summed");
  // Bit fields are counted from the lowest bit here, from the highest on big-endian machines.
  bool usable = std::endian::native == std::endian::little && summed && summed->size == 2 &&
                summed->at % 8 <= 6 && summed->at / 8 <= UINT16_MAX;
  if (!usable) return Error{"the kernel's struct sk_buff has no usable ip_summed", 0};
  out.summed = static_cast<__u16>(summed->at / 8);
  out.summed_shift = static_cast<__u16>(summed->at % 8);
  out.known = 1;
  return out;
}

Result<sp_skb_layout> FindSkbLayout() {
  if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_probe_read_kernel, nullptr) != 1)
    return Error{"programs may not read the kernel's memory here", 0};
  std::unique_ptr<btf, void (*)(btf*)> types(btf__load_vmlinux_btf(), btf__free);
  if (!types) return ErrnoError("the kernel describes its types nowhere");
  return SkbLayoutIn(*types);
}

}  // namespace sallyport::dataplane

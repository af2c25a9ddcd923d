# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tools/test: finds what a run left behind on the machine, and takes it away.
#
#   leftovers_remember   notes what is there before
#   leftovers_report     prints what is there now and was not before, removes it; fails if any
#
# Everything that tests and labs make on a machine carries a prefix: namespaces and links spt, labs
# below /run/sallyport-lab, pins below /sys/fs/bpf whose name begins with spt or sallyport. Processes
# are those of this tree's build folders, and those that a lab started (they carry its marker). A lab
# whose own name does not begin with spt is somebody's, and so is all that belongs to it.

LEFTOVERS_BEFORE=

leftovers_list() {
  {
    ip netns list 2>/dev/null | awk '$1 ~ /^spt/ { print "namespace " $1 }'
    ip -o link show 2>/dev/null | awk -F '[ :@]+' '$2 ~ /^spt/ { print "link " $2 }'
    find /run/sallyport-lab -mindepth 1 -maxdepth 1 -type d -printf 'lab %f\n' 2>/dev/null
    find /sys/fs/bpf -mindepth 1 -maxdepth 1 \( -name 'spt*' -o -name 'sallyport*' \) \
      -printf 'pins %p\n' 2>/dev/null
    find "${TMPDIR:-/tmp}" -mindepth 1 -maxdepth 1 -name 'spt*' -printf 'files %p\n' 2>/dev/null
    leftovers_processes
    awk '$2 ~ "/(spt|sallyport)[^/]*" { print "mount " $2 }' /proc/mounts
  } | leftovers_not_of_labs | sort -u
}

leftovers_not_of_labs() {
  local folder lab pattern='^$'
  for folder in /run/sallyport-lab/*/; do
    lab=$(basename "$folder")
    if [[ -d $folder && $lab != spt* ]]; then
      pattern+="|^lab ${lab}\$|[ /]spt-${lab}\.|/sallyport-lab/${lab}/|^process .* ${lab}\$"
    fi
  done
  grep -vE "$pattern" || true
}

leftovers_processes() {
  local process executable lab
  for process in /proc/[0-9]*; do
    executable=$(readlink "$process/exe" 2>/dev/null) || continue
    lab=$(tr '\0' '\n' 2>/dev/null <"$process/environ" | sed -n 's/^SPT_LAB_MEMBER=//p')
    if [[ $executable == "$PWD/.build/"* || -n $lab ]]; then
      printf 'process %s %s %s\n' "${process#/proc/}" "$executable" "$lab"
    fi
  done
}

leftovers_remember() { LEFTOVERS_BEFORE=$(leftovers_list); }

leftovers_new() { comm -13 <(printf '%s\n' "$LEFTOVERS_BEFORE") <(leftovers_list) | sed '/^$/d'; }

leftovers_report() {
  local left
  left=$(leftovers_new)
  [[ -n "$left" ]] || return 0
  echo "left behind on this machine by a test (removed now):"
  printf '%s\n' "$left" | sed 's/^/        /'
  leftovers_remove "$left"
  left=$(leftovers_new)
  if [[ -n "$left" ]]; then
    echo "could not be removed; please remove by hand:"
    printf '%s\n' "$left" | sed 's/^/        /'
  fi
  return 1
}

leftovers_remove() {
  local kind name tool=.build/dev/tools/cli/sallyport
  while read -r kind name; do
    case $kind in
      process) kill -KILL "${name%% *}" 2>/dev/null || true ;;
      lab) if [[ -x $tool ]]; then "$tool" lab down --name "$name" >/dev/null 2>&1 || true; fi ;;
      mount) umount "$name" 2>/dev/null || true ;;
      namespace) ip netns pids "$name" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "$name" 2>/dev/null || true ;;
      link) ip link del "$name" 2>/dev/null || true ;;
      pins | files) rm -rf -- "$name" ;;
    esac
  done <<<"$1"
}

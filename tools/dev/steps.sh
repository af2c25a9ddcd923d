# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tools/test and tools/quickstart: one line a step, its output in a log of its own.
#
#   step LABEL COMMAND...   runs COMMAND with its output in $LOGS/LABEL.log; on a terminal the last
#                           line of the log is shown meanwhile. Returns what COMMAND returned.
#   must LABEL COMMAND...   the same, and prints the step's line; on failure the end of its log too
#   show WORD LABEL [NOTE]  prints the line of the last step, for a caller of `step`
#   leave_to_owner FOLDER   undoes that root wrote there

LOGS=${LOGS:-.build/logs}
STEP_SECONDS=0
STEP_LOG=

show() {
  printf '%-6s %2d:%02d  %s\n' "$1" $((STEP_SECONDS / 60)) $((STEP_SECONDS % 60)) \
    "$2${3:+  $3}"
}

# Repeats the log's last line, cut to the terminal's width, until killed.
step_progress() {
  local label=$1 started=$SECONDS line width elapsed
  width=$(tput cols 2>/dev/null || echo 80)
  while sleep 0.5; do
    elapsed=$((SECONDS - started))
    line=$(tail -n 1 "$STEP_LOG" 2>/dev/null | tr -cd '[:print:]')
    line=$(printf '       %2d:%02d  %s  %s' $((elapsed / 60)) $((elapsed % 60)) "$label" "$line")
    printf '\r\033[K%s' "${line:0:width-1}"
  done
}

step() {
  local label=$1 status=0 started=$SECONDS progress=
  shift
  STEP_LOG=$LOGS/${label//[^A-Za-z0-9.]/-}.log
  mkdir -p "$LOGS"
  : >"$STEP_LOG"
  if [[ -t 1 ]]; then
    step_progress "$label" &
    progress=$!
  fi
  "$@" >"$STEP_LOG" 2>&1 </dev/null || status=$?
  if [[ -n "$progress" ]]; then
    kill "$progress" 2>/dev/null || true
    wait "$progress" 2>/dev/null || true
    printf '\r\033[K'
  fi
  STEP_SECONDS=$((SECONDS - started))
  return "$status"
}

# must LABEL COMMAND...: a step that shows its own line, and the end of its log when it fails.
must() {
  local label=$1
  if step "$@"; then
    show ok "$label"
    return 0
  fi
  show FAILED "$label"
  step_failure
  return 1
}

# What a person needs of a failed step's log: compiler errors if there are any, else its end.
step_failure() {
  local excerpt
  excerpt=$(grep -A 12 -m 3 -E '^FAILED:|^CMake Error|(fatal )?error:' "$STEP_LOG" | head -n 40 || true)
  [[ -n "$excerpt" ]] || excerpt=$(tail -n 25 "$STEP_LOG")
  printf '%s\n' "$excerpt" | sed 's/^/        /'
  echo "        whole log: $STEP_LOG"
}

# leave_to_owner FOLDER: what root wrote there belongs to the owner of the tree, who may want to
# build without root later.
leave_to_owner() {
  if ((EUID == 0)) && [[ -d "$1" && "$(stat -c %u .)" != 0 ]]; then
    chown -Rh --reference=. "$1"
  fi
}

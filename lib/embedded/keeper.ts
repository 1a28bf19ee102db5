import type { FolderClaim } from './folder-claim';
import { runScript, type ScriptProcess } from './server-process';

/** Between two looks at the claims, seconds. */
const TICK = 0.2;

/**
 * $1 claims folder, $2 number of our claim, $3 ticks of grace. Each line read is `<pid> <signal> <argument>`: a server,
 * how to stop it, and an argument of its command line that tells it from whatever may get its pid later.
 * Claiming the next number before stopping anything is what keeps a start at this very moment from adopting a server
 * that is about to go. Signals are ignored since a hosted machine, or `kill` of everything, sends them to all.
 */
const SCRIPT = `
trap '' HUP INT TERM
claims=$1 number=$2 ticks=$3 servers=
while read -r pid signal argument; do
  [ "$pid" = done ] && exit 0
  servers="$servers$pid $signal $argument
"
done
newer() {
  for claim in "$claims"/[0-9]*; do
    [ "\${claim##*/}" -gt "$number" ] 2>/dev/null && return 0
  done
  return 1
}
ours() {
  if [ -e /proc/self/cmdline ]; then tr '\\0' '\\n' 2>/dev/null <"/proc/$1/cmdline" | grep -Fqx -e "$2"
  else ps -ww -o command= -p "$1" | grep -Fq -e "$2"; fi
}
each() {
  printf %s "$servers" | while read -r pid signal argument; do
    ours "$pid" "$argument" && "$1" "$pid" "$signal"
  done
}
stop() { kill -s "$2" "$1"; }
end() { kill -s KILL "$1"; }
name() { echo "$1"; }
while [ "$ticks" -gt 0 ]; do
  newer && exit 0
  sleep ${TICK} || sleep 1
  ticks=$((ticks - 1))
done
if [ -d "$claims" ]; then
  number=$((number + 1)) draft="$claims/draft-$$"
  echo "{\\"pid\\":$$,\\"role\\":\\"keeper\\"}" >"$draft"
  ln "$draft" "$claims/$number" || { rm -f "$draft"; exit 0; }
  rm -f "$draft"
  newer && exit 0
fi
each stop
tries=0
while [ -n "$(each name)" ]; do
  [ $tries -eq 50 ] && each end
  tries=$((tries + 1))
  sleep ${TICK} || sleep 1
done
`;

export function startKeeper(claim: FolderClaim, graceMs: number): ScriptProcess {
  const ticks = Math.ceil(graceMs / (TICK * 1000));
  return runScript(SCRIPT, 'catamount-keeper', [claim.folder, String(claim.number), String(ticks)]);
}

/**
 * A tiny process that outlives this one and stops the servers when nobody else will: its input ends when this process
 * does, however that happens, `kill -9` included. It gives the next start a moment to adopt them first.
 */
export class Keeper {
  private readonly script: ScriptProcess;

  constructor(claim: FolderClaim, graceMs: number) {
    this.script = startKeeper(claim, graceMs);
  }

  watch(pid: number, signal: 'INT' | 'TERM', argument: string): void {
    this.script.input.write(`${pid} ${signal} ${argument}\n`);
  }

  /** All is stopped. Resolves when the keeper has left. */
  async dismiss(): Promise<void> {
    this.script.input.end('done\n');
    await this.script.exited;
  }
}

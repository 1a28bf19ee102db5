import { runScript, type ScriptProcess } from './server-process';

/** Interval of its checks, in seconds. */
const TICK = 0.2;

/**
 * The keeper's script. Arguments: $1 ticks of grace, $2 the state folder, for the process list. Each input line is `<pid>
 * <signal> <argument>`: a server, its stop signal, and an argument of its command line. The argument identifies the server even
 * if another process gets its pid. The keeper ignores signals, because a hosting platform, or a `kill` of everything, sends
 * them to all processes.
 */
const SCRIPT = `
trap '' HUP INT TERM
ticks=$1 servers=
while read -r pid signal argument; do
  servers="$servers$pid $signal $argument
"
done
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
while [ "$ticks" -gt 0 ] && [ -n "$(each name)" ]; do
  sleep ${TICK} || sleep 1
  ticks=$((ticks - 1))
done
each stop
tries=0
while [ -n "$(each name)" ]; do
  [ $tries -eq 50 ] && each end
  tries=$((tries + 1))
  sleep ${TICK} || sleep 1
done
`;

/**
 * A small process that outlives this one and stops the servers if nothing else does. Its input ends when this process
 * ends in any way, even by `kill -9`. It then waits for the grace period, in which the tree's other processes finish.
 */
export class Keeper {
  private readonly script: ScriptProcess;

  constructor(stateDir: string, graceMs: number) {
    this.script = runScript(SCRIPT, 'catamount-keeper', [String(Math.ceil(graceMs / (TICK * 1000))), stateDir]);
  }

  watch(pid: number, signal: 'INT' | 'TERM', argument: string): void {
    this.script.input.write(`${pid} ${signal} ${argument}\n`);
  }

  /** Ends its input. Resolves when it has exited, which it does as soon as no server runs. */
  async dismiss(): Promise<void> {
    this.script.input.end();
    await this.script.exited;
  }
}

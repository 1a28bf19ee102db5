import { setTimeout as wait } from 'node:timers/promises';
import { order } from '../../cluster/primary/operator';
import { isRunning } from '../../support/processes';
import { until } from '../../support/until';
import type { Environment } from '../scene/environment';
import type { Fault } from './faults';

/** Shorter than WORKER_TIMEOUT, so that the process does not count as unresponsive, nor as dead to other trees, ms. */
const FROZEN_MS = 3000;
/** For this long the mail server may accept mails that were in transit when their sender was killed, ms. */
const IN_TRANSIT_MS = 500;
const NOTED_EVERY_MS = 1000;

type Role = 'worker' | 'processor' | 'primary';
const THE: Readonly<Record<Role, string>> = {
  worker: 'a web worker',
  processor: 'the job processor',
  primary: 'the primary',
};

/** The pid of a role's process; undefined while it waits for its next start. */
function pidOf(role: Role, { platform }: Environment, slot: number): number | undefined {
  const { primary, jobs, web } = platform.tree.processes();
  return role === 'worker' ? web.get(slot) : role === 'processor' ? jobs : primary;
}

const kill = (role: Role): Fault => ({
  name: `kill-${role}`,
  about: `kill -9 of ${THE[role]}`,
  ...(role !== 'processor' && { damage: 'cut' }),
  async inject(environment, roll) {
    const pid = pidOf(role, environment, roll(2));
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    if (role === 'worker') return;
    environment.note('processor died');
    // It is noted again, since the mail server has meanwhile accepted mails in transit.
    await wait(IN_TRANSIT_MS);
    environment.note('processor died');
  },
});

const freeze = (role: Role): Fault => ({
  name: `freeze-${role}`,
  about: `SIGSTOP of ${THE[role]} for some seconds`,
  // A request queued in a frozen worker may exceed its queue timeout.
  damage: 'turned away',
  async inject(environment, roll) {
    const pid = pidOf(role, environment, roll(2));
    if (pid !== undefined) await whileStopped(pid, () => wait(FROZEN_MS + roll(FROZEN_MS)));
  },
});

/** Suspends a process for good, which looks like a blocked event loop. */
const block = (role: 'worker' | 'processor'): Fault => ({
  name: `stuck-${role}`,
  about: `SIGSTOP of ${THE[role]} for good: the primary kills it`,
  ...(role === 'worker' && { damage: 'cut' }),
  async inject(environment, roll) {
    const pid = pidOf(role, environment, roll(2));
    if (pid === undefined) return;
    await whileStopped(pid, async () => {
      let notedAt = Number.NEGATIVE_INFINITY;
      // Until it is killed it can record nothing, while the mail server, which may be slow itself, accepts mails in transit.
      const isKilled = () => {
        if (role === 'processor' && performance.now() - notedAt >= NOTED_EVERY_MS) {
          notedAt = performance.now();
          environment.note('processor died');
        }
        return !isRunning(pid);
      };
      await until(`${role} ${pid} is killed`, isKilled, { timeoutMs: 60_000, everyMs: 300 });
    });
  },
});

async function whileStopped(pid: number, work: () => Promise<void>): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  try {
    await work();
  } finally {
    try {
      process.kill(pid, 'SIGCONT');
    } catch {
      // It has ended meanwhile.
    }
  }
}

export const PROCESS_FAULTS: readonly Fault[] = [
  kill('worker'),
  kill('processor'),
  kill('primary'),
  freeze('worker'),
  freeze('processor'),
  freeze('primary'),
  block('worker'),
  block('processor'),
];

const HOUR_MS = 3_600_000;
const JUMPED_MS = 6000;

const jump = (name: string, about: string, ms: number): Fault => ({
  name,
  about,
  async inject({ clock }) {
    clock.set(ms);
    await wait(JUMPED_MS);
    clock.set(0);
  },
});

export const CLOCK_FAULTS: readonly Fault[] = [
  jump('clock-forward', 'the clock of the tree jumps an hour ahead, and back', HOUR_MS),
  jump('clock-back', 'the clock of the tree falls an hour behind, and comes back', -HOUR_MS),
];

export const PHASED_RESTART: Fault = {
  name: 'phased-restart',
  about: 'every worker and the job processor are replaced, one after the other',
  inject: restartByPhases,
};

/** The same fault during a phased restart. */
export function duringPhasedRestart(fault: Fault): Fault {
  return {
    ...fault,
    name: `${fault.name}+restart`,
    about: `${fault.about}; during a phased restart`,
    async inject(environment, roll) {
      const restarted = restartByPhases(environment);
      await fault.inject(environment, roll);
      await restarted;
    },
  };
}

/** Resolves when the restart is complete or aborted: another fault may have ended the primary. */
async function restartByPhases({ platform }: Environment): Promise<void> {
  await order(platform.tree, 'phased-restart').catch(() => undefined);
}

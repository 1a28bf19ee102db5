import { setTimeout as wait } from 'node:timers/promises';
import { isRunning } from '../../support/processes';
import { until } from '../../support/until';
import type { Scene } from '../scene/scene';
import type { Fault } from './fault';

/** Less than it takes until one counts as stuck (WORKER_TIMEOUT), or as dead to other trees. */
const FROZEN_MS = 3000;
const STILL_TAKEN_MS = 500;

type Role = 'worker' | 'processor' | 'primary';
const THE: Readonly<Record<Role, string>> = {
  worker: 'a web worker',
  processor: 'the job processor',
  primary: 'the primary',
};

/** It may be waiting for its next start. */
function pidOf(role: Role, { platform }: Scene, slot: number): number | undefined {
  const { primary, jobs, web } = platform.processes();
  return role === 'worker' ? web.get(slot) : role === 'processor' ? jobs : primary;
}

const kill = (role: Role): Fault => ({
  name: `kill-${role}`,
  about: `kill -9 of ${THE[role]}`,
  ...(role !== 'processor' && { damage: 'cut' }),
  async strike(scene, roll) {
    const pid = pidOf(role, scene, roll(2));
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    if (role !== 'worker') scene.note('processor died');
  },
});

const freeze = (role: Role): Fault => ({
  name: `freeze-${role}`,
  about: `SIGSTOP of ${THE[role]} for some seconds`,
  // Who waited for a slot in a frozen worker has waited for too long.
  damage: 'turned away',
  async strike(scene, roll) {
    const pid = pidOf(role, scene, roll(2));
    if (pid === undefined) return;
    process.kill(pid, 'SIGSTOP');
    try {
      await wait(FROZEN_MS + roll(FROZEN_MS));
    } finally {
      thaw(pid);
    }
  },
});

function thaw(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch {
    // Something else has ended it.
  }
}

/** As when its event loop is blocked for good. */
const hold = (role: 'worker' | 'processor'): Fault => ({
  name: `stuck-${role}`,
  about: `SIGSTOP of ${THE[role]} for good: the primary kills it`,
  ...(role === 'worker' && { damage: 'cut' }),
  async strike(scene, roll) {
    const pid = pidOf(role, scene, roll(2));
    if (pid === undefined) return;
    process.kill(pid, 'SIGSTOP');
    if (role === 'processor') scene.note('processor died');
    try {
      await wait(STILL_TAKEN_MS);
      // A mail server takes what was on its way, too.
      if (role === 'processor') scene.note('processor died');
      await until(`${role} ${pid} is killed`, () => !isRunning(pid), { timeoutMs: 60_000, everyMs: 300 });
    } finally {
      thaw(pid);
    }
  },
});

export const PROCESS_FAULTS: readonly Fault[] = [
  kill('worker'),
  kill('processor'),
  kill('primary'),
  freeze('worker'),
  freeze('processor'),
  freeze('primary'),
  hold('worker'),
  hold('processor'),
];

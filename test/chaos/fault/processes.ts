import { setTimeout as wait } from 'node:timers/promises';
import type { Scene } from '../scene/scene';
import type { Fault } from './fault';

/** Less than it takes until one counts as stuck (WORKER_TIMEOUT), or as dead to other trees. */
const FROZEN_MS = 3000;

type Role = 'worker' | 'processor' | 'primary';

/** It may be waiting for its next start. */
function pidOf(role: Role, { platform }: Scene, slot: number): number | undefined {
  const { primary, jobs, web } = platform.processes();
  return role === 'worker' ? web.get(slot) : role === 'processor' ? jobs : primary;
}

const kill = (role: Role): Fault => ({
  name: `kill-${role}`,
  about: `kill -9 of ${role === 'worker' ? 'a web worker' : `the ${role === 'primary' ? 'primary' : 'job processor'}`}`,
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
  about: `SIGSTOP of ${role === 'worker' ? 'a web worker' : `the ${role === 'primary' ? 'primary' : 'job processor'}`} for some seconds`,
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

export const PROCESS_FAULTS: readonly Fault[] = [
  kill('worker'),
  kill('processor'),
  kill('primary'),
  freeze('worker'),
  freeze('processor'),
  freeze('primary'),
];

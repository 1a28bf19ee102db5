import { setTimeout as wait } from 'node:timers/promises';
import type { Fault } from './fault';

const HOUR_MS = 3_600_000;
const JUMPED_MS = 6000;

const jump = (name: string, about: string, ms: number): Fault => ({
  name,
  about,
  async strike({ clock }) {
    clock.set(ms);
    await wait(JUMPED_MS);
    clock.set(0);
  },
});

export const CLOCK_FAULTS: readonly Fault[] = [
  jump('clock-forward', 'the clock of the tree jumps an hour ahead, and back', HOUR_MS),
  jump('clock-back', 'the clock of the tree falls an hour behind, and comes back', -HOUR_MS),
];

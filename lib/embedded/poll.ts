import { setTimeout as wait } from 'node:timers/promises';
import type { Deadline } from '../support/deadline';

/** Asks every few milliseconds until the answer is yes. @returns false when the deadline came first. */
export async function poll(condition: () => boolean | Promise<boolean>, deadline: Deadline): Promise<boolean> {
  while (!(await condition())) {
    if (deadline.expired) return false;
    await wait(Math.min(4, deadline.remaining()));
  }
  return true;
}

import type { Events } from '../../core/events';
import { OVERDUE_EXIT_MS } from '../../core/shutdown';
import { Deadline } from '../../support/deadline';
import { ask } from './client';
import { findCommand, readTree } from './commands';
import { goneWithin, readState } from './state-file';

/**
 * Waits until a tree of the same folder that is stopping has ended, at most as long as its stop may take: a start right
 * after a stop is not refused. A tree that runs on is left to the checks that refuse a second one.
 */
export async function awaitStopping(stateFile: string, events: Events): Promise<void> {
  const state = readState(stateFile);
  if (!state) return;
  const { controlSocket: socket, token, pid } = state;
  // Without an answer there is no tree, or one that the checks refuse.
  const answer = await ask({ socket, token }, findCommand('status')).catch(() => undefined);
  const tree = answer && readTree(answer);
  if (!tree?.stopping) return;
  const limitMs = tree.limits.drainMs + OVERDUE_EXIT_MS;
  events.emit('primary.waiting', { pid, limitMs });
  await goneWithin(pid, Deadline.after(limitMs));
}

import { InvalidRequestError } from './invalid-request';
import type { Move } from './mover';
import { dueRecord, killedRecord, queuedRecord, rewritten } from './rewrites';
import type { OperatorAction } from './sources';

/** To the tail of the queue; attempts stay counted. */
export function toQueue(action: OperatorAction): Move {
  return { action, to: 'queue', prepare: async (jobs) => jobs.map((job) => rewritten(job.text, queuedRecord)) };
}

export const KILL: Move = {
  action: 'kill',
  to: 'bury',
  prepare: async (jobs) => jobs.map((job) => rewritten(job.text, killedRecord)),
};

export const DELETE: Move = { action: 'delete', to: 'drop' };

/** @param at a moment that has passed stands for now. @throws InvalidRequestError. */
export function rescheduleTo(at: Date): Move {
  const ms = at instanceof Date ? at.getTime() : Number.NaN;
  if (Number.isNaN(ms)) throw new InvalidRequestError(`the time is ${String(at)}; give a valid date`);
  // bee-queue looks for what is due from 0 on.
  return {
    action: 'reschedule',
    to: 'delay',
    at: Math.max(ms, 0),
    prepare: async (jobs) => jobs.map((job) => rewritten(job.text, (record) => dueRecord(record, ms))),
  };
}

import { isUuid } from '../../support/uuid';
import type { CancelCounts, CancelOutcome } from './job-class';

/** Postgres cannot store NUL or lone surrogates. */
const REASON = /^[^\0\p{Cs}]{0,1000}$/u;

/** @returns the id. @throws TypeError for what cannot be the id of a job. */
export function checkJobId(id: unknown): string {
  if (typeof id === 'string' && isUuid(id)) return id;
  throw new TypeError(`the id of the job to cancel is ${shown(id)}; give a UUID, as performLater returns it`);
}

/** @returns the reason; '' for none. @throws TypeError. */
export function checkReason(reason: unknown = ''): string {
  if (typeof reason === 'string' && REASON.test(reason)) return reason;
  throw new TypeError(`the reason to cancel is ${shown(reason)}; give text of at most 1,000 characters`);
}

export function outcomeOf({ cancelled, requested }: CancelCounts): CancelOutcome {
  return cancelled > 0 ? 'cancelled' : requested > 0 ? 'requested' : 'gone';
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 100);
}

import { checkQueue } from './filter';
import { InvalidRequestError } from './invalid-request';

/** A job by its id; with its queue where ids repeat over queues, as those of plain bee-queue producers do. */
export type JobRef = string | { readonly id: string; readonly queue?: string | undefined };

export interface CheckedRef {
  readonly id: string;
  readonly queue: string | undefined;
}

const ID = /^[\x21-\x7e]{1,200}$/;

/** @throws InvalidRequestError for what cannot be a job's id. */
export function checkRef(ref: JobRef): CheckedRef {
  // Callers may pass on what came in from outside.
  const { id, queue = undefined } = typeof ref === 'object' && ref !== null ? ref : { id: ref };
  if (typeof id !== 'string' || !ID.test(id)) {
    const shown = JSON.stringify(id)?.slice(0, 100);
    throw new InvalidRequestError(`the job id is ${shown}; give one such as 0b0e7c4e-4a3f-4c7a-9d53-0f6f5d1c8a11`);
  }
  if (queue !== undefined) checkQueue(queue);
  return { id, queue };
}

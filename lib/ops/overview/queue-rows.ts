import type { QueueStatus } from '../../job/queue/queue-status';
import { isLate } from '../../verdict/service-issues';
import type { Words } from './words';

export interface QueueRow {
  readonly name: string;
  readonly href: string;
  readonly size: number;
  readonly latency: string;
  readonly late: boolean;
  readonly paused: boolean;
  /** Class of the job that is next. */
  readonly next: string;
  /** Jobs that are due and still in the outbox. */
  readonly inOutbox: number;
}

/** The queues in the order in which the tree serves them, then the others. */
export function queueRows(
  queues: readonly QueueStatus[],
  outbox: ReadonlyMap<string, number> | undefined,
  warningMs: number,
  words: Words,
): QueueRow[] {
  return queues.map(({ name, waiting, held, latencyMs, paused, next }) => ({
    name,
    href: `/ops/jobs/queues/${encodeURIComponent(name)}`,
    size: waiting + held,
    latency: waiting === 0 ? '–' : words.time.span(latencyMs),
    late: isLate(latencyMs, warningMs) && !paused,
    paused: paused !== undefined,
    next: next ?? '',
    inOutbox: outbox?.get(name) ?? 0,
  }));
}

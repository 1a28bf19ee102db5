import { until } from '../../support/until';
import { atDesk, type Desk, QUEUES } from '../scene/desk';
import type { Scene } from '../scene/scene';

const PATIENCE_MS = 180_000;

/** Where jobs are once nothing is on its way any more. */
export interface Rest {
  /** Jobs that were given up: none of ours should be. */
  readonly dead: readonly string[];
  /** What is still on its way after three minutes; empty when all is done. */
  readonly left: string;
}

/**
 * Waits until every job has ended. Retries are promoted, as an operator does after an outage, so that nobody waits for
 * theirs: the first comes after some 20 s, the fourth after two minutes.
 */
export function settle(scene: Scene): Promise<Rest> {
  return atDesk(scene, async (desk) => {
    const { sets } = desk;
    const done = async () => {
      await sets.retry.retryMany({ filter: {} });
      return (await leftAt(desk)) === '';
    };
    const ended = until('every job has ended', done, { timeoutMs: PATIENCE_MS, everyMs: 500 });
    const left = await ended.then(
      () => '',
      () => leftAt(desk),
    );
    const { entries } = await sets.dead.page({ limit: 500 });
    return { left, dead: entries.map(({ id, class: name, reason }) => `${name} ${id}: ${reason}`) };
  });
}

/** @returns what is still on its way, in words; ticks come every other second, and count only when they pile up. */
async function leftAt({ sets, knex }: Desk): Promise<string> {
  const rows = await knex('job_outbox').whereNot('class', 'TickJob').count<{ count: string }[]>();
  const waiting = await Promise.all(QUEUES.map((queue) => sets.waiting(queue).count()));
  const { retry, scheduled } = await sets.sizes();
  const counts = {
    'rows in the outbox': Number(rows[0]?.count ?? 0),
    'jobs in queues': Math.max(0, waiting.reduce((sum, count) => sum + count, 0) - 1),
    'jobs to be retried': retry,
    'jobs that are scheduled': scheduled,
  };
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ');
}

import type { Knex } from 'knex';
import { TABLES } from '../../core/config';
import type { BatchState, BatchStatus } from '../definition/batch';

interface BatchRow extends Omit<BatchStatus, 'state' | 'done' | 'parentId' | 'completedAt' | 'endedAt'> {
  readonly parentId: string | null;
  readonly completedAt: Date | null;
  readonly endedAt: Date | null;
  readonly outcome: 'succeeded' | 'cancelled' | null;
  readonly isSealed: boolean;
}

export async function readBatches(
  knex: Knex,
  choice: { readonly id: string } | { readonly limit: number },
): Promise<BatchStatus[]> {
  const [where, values] =
    'id' in choice ? ['where id = ?::uuid', [choice.id]] : ['order by created_at desc limit ?', [choice.limit]];
  const { rows } = await knex.raw<{ rows: BatchRow[] }>(
    `select id, parent_id as "parentId", description, tags, total::float8 as total, outcome, sealed_at is not null as "isSealed",
       (select count(*)::int from ${TABLES.jobs} as job where job.batch_id = batch.id) as pending,
       (select count(*)::int from ${TABLES.dead} as dead where dead.batch_id = batch.id) as dead,
       created_at as "createdAt", completed_at as "completedAt", ended_at as "endedAt"
     from ${TABLES.batches} as batch ${where}`,
    values as Knex.RawBinding[],
  );
  return rows.map(({ outcome, isSealed, parentId, completedAt, endedAt, ...row }) => ({
    ...row,
    parentId: parentId ?? undefined,
    completedAt: completedAt ?? undefined,
    endedAt: endedAt ?? undefined,
    done: Math.max(0, row.total - row.pending - row.dead),
    state: stateOf(outcome, isSealed, completedAt !== null && row.pending === 0),
  }));
}

export function stateOf(outcome: BatchRow['outcome'], isSealed: boolean, isCompleted: boolean): BatchState {
  if (outcome !== null) return outcome;
  if (!isSealed) return 'filling';
  return isCompleted ? 'completed' : 'running';
}

import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import { isUuid } from '../outbox/table';
import { keyPrefix, OUTCOME_LUA } from '../queue/keys';
import { readRecord } from '../record/record';
import { durableData, payloadOf, revived, rewritten } from './entry';
import type { Transition } from './move-script';
import type { BulkOptions, BulkResult, Selection, SetSources } from './query';
import { RedisJobSet } from './redis-set';
import type { FoundJob } from './scan';

/** Jobs that will not run again by themselves. Newest first; at most 10,000 a queue, for at most 180 days. */
export class DeadSet extends RedisJobSet {
  readonly name = 'dead';
  private readonly reviving: Transition = {
    action: 'retry',
    to: 'queue',
    prepare: async (jobs) => {
      const durable = await insertRevivedRows(this.sources.knex, jobs);
      return jobs.map(({ id, text }) => rewritten(text, (record) => revived(record, durable.has(id))));
    },
  };

  constructor(sources: SetSources) {
    super(sources, { name: 'dead', key: 'dead', newestFirst: true });
  }

  /** To the tails of their queues, with all attempts anew, and durable: they are in the outbox until their next end. */
  retryMany(selection: Selection, options?: BulkOptions): Promise<BulkResult> {
    return this.many(this.reviving, selection, options);
  }
}

/**
 * Gives dead jobs that are about to live again a row in the outbox, as dispatched already: should Redis lose them they
 * are dispatched again. Before they move, so that a crash between the two leaves a row too many and not one too few;
 * the next end of the dead job deletes it.
 * @returns the ids that have one.
 */
export async function insertRevivedRows(knex: Knex, jobs: readonly FoundJob[]): Promise<ReadonlySet<string>> {
  const rows = jobs.flatMap(({ id, queue, text }) => {
    const payload = payloadOf(text);
    // No text of Postgres has a NUL, nor has the name of any class.
    if (!payload || text === undefined || !isUuid(id) || payload.class.includes('\0')) return [];
    return [{ id, queue, class: payload.class, payload: JSON.stringify(durableData(readRecord(text).data)) }];
  });
  if (rows.length === 0) return new Set();
  const column = (name: 'id' | 'queue' | 'class' | 'payload') => rows.map((row) => row[name]);
  // In one order for all: two operators who retry the same jobs would lock each other out else.
  await knex.raw(
    `insert into job_outbox (id, queue, class, payload, dispatched_at)
     select id, queue, class, payload, clock_timestamp()
     from unnest(?::uuid[], ?::text[], ?::text[], ?::text[]) as job (id, queue, class, payload)
     order by id
     on conflict (id) do update set dispatched_at = excluded.dispatched_at`,
    [column('id'), column('queue'), column('class'), column('payload')],
  );
  return new Set(rows.map((row) => row.id));
}

/** Dead from now on; or it had ended already; or Redis has it, so that it is not ours to bury. */
export type Buried = 'buried' | 'ended' | 'known';

// Makes dead jobs of such as Redis does not know yet. Their rows are to be deleted: should nobody come to that, `finished`
// tells the completer.
// KEYS  queue prefixes
// ARGV  1 now (ms), then number of the queue, id, record for each
// reply one letter a job: b, e, k
const KILL_SCRIPT = new RedisScript(`
local call, now, out = redis.call, ARGV[1], {}
${OUTCOME_LUA}
for a = 2, #ARGV, 3 do
  local p, id, state = KEYS[tonumber(ARGV[a])], ARGV[a + 1], 'b'
  if call('zscore', p..'finished', id) or call('zscore', p..'recent', id) then state = 'e'
  elseif call('hexists', p..'jobs', id) == 1 then state = 'k'
  else call('hset', p..'jobs', id, ARGV[a + 2]); bury(p, id, ARGV[a + 2]); leaveTrace(p, id, 'f') end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, Buried>> = { b: 'buried', e: 'ended' };

export async function buryUnknown(
  client: RedisClient,
  jobs: readonly { readonly id: string; readonly queue: string; readonly record: string }[],
): Promise<Buried[]> {
  const queues = [...new Set(jobs.map((job) => job.queue))];
  const args = jobs.flatMap((job) => [String(queues.indexOf(job.queue) + 1), job.id, job.record]);
  const reply = String(await KILL_SCRIPT.run(client, queues.map(keyPrefix), [String(Date.now()), ...args]));
  return Array.from(reply, (letter) => STATES[letter] ?? 'known');
}

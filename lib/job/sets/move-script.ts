import type { Knex } from 'knex';
import type { RedisClient } from '../../core/redis';
import { answerWithin, RedisScript } from '../../core/redis-script';
import { handOver } from '../outbox/dead-jobs';
import { deleteRows, isUuid } from '../outbox/table';
import { keyPrefix, OUTCOME_LUA, queueKey, UNQUEUE_LUA } from '../queue/keys';
import { isRetrying, markersOf, queuedAt } from './entry';
import {
  type BulkRun,
  type CheckedFilter,
  type CheckedRef,
  InvalidRequestError,
  type JobAction,
  type SetSources,
} from './query';
import type { RedisSet } from './redis-set';
import { type FoundJob, foundJobs } from './scan';
import type { ScanPosition } from './scan-script';

/** The Redis key that jobs are taken from. */
export type MoveFrom = 'delayed' | 'waiting';
/** The target: the tail of their queue, `delayed`, the dead set; `delete` removes them. */
export type MoveTo = 'queue' | 'delay' | 'dead' | 'delete';

/** Stands for any SHA-1: the job is moved whatever its record is by now. */
export const ANY = '*';

export interface MovedJob {
  readonly id: string;
  readonly queue: string;
  /** SHA-1 of the record that the mover has read, '' when there was none. */
  readonly sha: string;
  /** The new record; undefined: it stays as it is. */
  readonly record: string | undefined;
  /** Markers that its end leaves in Redis (fetch/fetch-script.ts). */
  readonly markers: string;
}

/** `gone`: the job is no longer in that set; `changed`: its record has changed since it was read. */
export type MoveState = 'moved' | 'gone' | 'changed';

/** Limits of one script call: jobs, and bytes of records. */
const MOST = 200;
const MAX_BYTES = 1_000_000;

// The call that removes the id from its set moves the job, so a second click finds nothing.
// KEYS  1 queue prefix
// ARGV  1 now (ms)  2 from  3 to  4 due time (ms)  5… four per job: id, SHA-1, new record or "", markers
// reply one letter a job: m moved, g gone, c changed
const MOVE_SCRIPT = new RedisScript(`
local call, now = redis.call, ARGV[1]
${OUTCOME_LUA}
${UNQUEUE_LUA}
local p, from, to, at, out = KEYS[1], ARGV[2], ARGV[3], ARGV[4], {}

local function take(id)
  if from == 'waiting' then return unqueue(p, id) end
  return call('zrem', p..from, id) == 1
end

local function put(id, record, markers)
  call('hdel', p..'deliveries', id)
  if to == 'delete' then
    call('hdel', p..'jobs', id)
    return leaveMarkers(p, id, markers..'c')
  end
  if record ~= '' then call('hset', p..'jobs', id, record) end
  if to == 'dead' then
    die(p, id, markers)
  elseif to == 'delay' then
    call('zadd', p..'delayed', at, id)
    if call('zrange', p..'delayed', 0, 0)[1] == id then call('publish', p..'earlierDelayed', at) end
  else
    call('lpush', p..'waiting', id)
  end
end

for a = 5, #ARGV, 4 do
  local id, sha, record, markers = unpack(ARGV, a, a + 3)
  local text = call('hget', p..'jobs', id)
  local there = from == 'waiting' or call('zscore', p..from, id)
  local state = 'g'
  if there and text and sha ~= '${ANY}' and redis.sha1hex(text) ~= sha then state = 'c'
  elseif there and (text or to == 'delete') and take(id) then
    put(id, record, markers); state = 'm'
  end
  out[#out + 1] = state
end
return table.concat(out)`);

const STATES: Readonly<Record<string, MoveState>> = { m: 'moved', c: 'changed' };

/**
 * Moves jobs, each by itself and only if it has not changed since it was read.
 * @param at the time at which they are due, ms since 1970; for `delay`.
 * @returns a state for each, in order.
 */
export async function moveJobs(
  client: RedisClient,
  { from, to, at = 0 }: { readonly from: MoveFrom; readonly to: MoveTo; readonly at?: number | undefined },
  jobs: readonly MovedJob[],
): Promise<MoveState[]> {
  const states = new Map<MovedJob, MoveState>();
  for (const batch of batches(jobs)) {
    const args = batch.flatMap((job) => [job.id, job.sha, job.record ?? '', job.markers]);
    const head = [Date.now(), from, to, Math.ceil(at)].map(String);
    const queue = batch[0]?.queue ?? '';
    const reply = String(await MOVE_SCRIPT.run(client, [keyPrefix(queue)], [...head, ...args]));
    for (const [index, job] of batch.entries()) states.set(job, STATES[reply[index] ?? ''] ?? 'gone');
  }
  return jobs.map((job) => states.get(job) ?? 'gone');
}

/** Splits jobs into batches of one queue each. */
function* batches(jobs: readonly MovedJob[]): Generator<MovedJob[]> {
  for (const queue of new Set(jobs.map((job) => job.queue))) {
    let batch: MovedJob[] = [];
    let bytes = 0;
    for (const job of jobs) {
      if (job.queue !== queue) continue;
      const length = job.record?.length ?? 0;
      if (batch.length === MOST || (bytes > 0 && bytes + length > MAX_BYTES)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(job);
      bytes += length;
    }
    if (batch.length > 0) yield batch;
  }
}

/** Maximum number of attempts to move a job whose record keeps changing. */
const TRIES = 3;

export interface Transition {
  readonly action: JobAction;
  readonly to: MoveTo;
  /** The time at which the job is due, ms since 1970; for `delay`. */
  readonly at?: number;
  /** Makes the new records; undefined: they stay as they are. */
  readonly prepare?: (jobs: readonly FoundJob[]) => Promise<readonly (string | undefined)[]>;
}

/** Moves jobs out of a set in Redis. */
export class SetMover {
  constructor(
    private readonly sources: SetSources,
    private readonly set: RedisSet,
  ) {}

  /** @returns how many were moved; jobs that are not, or no longer, in the set are skipped. */
  async moveRefs(move: Transition, refs: readonly CheckedRef[]): Promise<number> {
    let left = refs;
    let moved = 0;
    for (let tries = 0; left.length > 0 && tries < TRIES; tries++) {
      const { kind, sources } = this.set;
      const found = await locate(this.sources.redis, sources.queues, left);
      const ours = found.filter((job) => isRetrying(job.text) === kind.retrying);
      const states = await this.move(move, ours);
      moved += states.filter((state) => state === 'moved').length;
      left = ours.filter((_, index) => states[index] === 'changed');
    }
    return moved;
  }

  /** Moves all matching jobs. Those that enter the set, or return to it, while this runs are left alone. */
  async moveMatching(move: Transition, filter: CheckedFilter, run: BulkRun): Promise<boolean> {
    const scanner = this.set.scanner(filter);
    let left = await this.set.extent(filter);
    let after: ScanPosition | undefined;
    while (left > 0 && run.chunk > 0) {
      const step = await scanner.step({ after, skip: 0, limit: run.chunk, counting: false });
      const jobs = step.jobs.filter((job) => this.concerns(move, job, run));
      const states = await this.move(move, jobs);
      const changed = jobs.filter((_, index) => states[index] === 'changed');
      run.add(states.filter((state) => state === 'moved').length + (await this.moveRefs(move, changed)));
      after = step.position;
      left -= step.scanned;
      if (step.done) return true;
    }
    return left <= 0;
  }

  private concerns(move: Transition, job: FoundJob, run: BulkRun): boolean {
    const at = queuedAt(job.text);
    // A time in the future comes from another machine's clock, so it does not show that the job is new.
    const isNew = at > run.startedAt && at <= Date.now();
    return !isNew && !(move.to === 'delay' && job.score === move.at);
  }

  private async move(move: Transition, jobs: readonly FoundJob[]): Promise<MoveState[]> {
    if (jobs.length === 0) return [];
    const records = (await move.prepare?.(jobs)) ?? [];
    const ends = move.to === 'dead' || move.to === 'delete';
    const asked = jobs.map(({ id, queue, sha, text }, index) => {
      return { id, queue, sha, record: records[index], markers: ends ? markersOf(text) : '' };
    });
    const states = await moveJobs(this.sources.redis, { from: 'delayed', to: move.to, at: move.at }, asked);
    const moved = asked.filter((_, index) => states[index] === 'moved');
    if (move.to === 'dead') await this.handOver(moved);
    if (move.to === 'delete') {
      await completeRows(
        this.sources,
        moved.filter(({ markers }) => markers.includes('f')),
      );
    }
    return states;
  }

  /** A job processor's sweep makes up for a failure here some seconds later. */
  private async handOver(jobs: readonly MovedJob[]): Promise<void> {
    for (const queue of new Set(jobs.map((job) => job.queue))) {
      const ids = jobs.filter((job) => job.queue === queue).map((job) => job.id);
      await handOver(this.sources, queue, ids).catch(() => undefined);
    }
  }
}

// Finds those of these jobs that are in `delayed` of their queue, and reads their records.
// KEYS  queue prefixes
// ARGV  ids
// reply queue number, id, score, record, its SHA-1, progress for each
const LOCATE_SCRIPT = new RedisScript(`
local call, out = redis.call, {}
for _, id in ipairs(ARGV) do
  for q, p in ipairs(KEYS) do
    local score = call('zscore', p..'delayed', id)
    if score then
      local text, progress = call('hget', p..'jobs', id), call('hget', p..'progress', id)
      for _, value in ipairs({ q, id, score, text or '', text and redis.sha1hex(text) or '', progress or '' }) do
        out[#out + 1] = value
      end
    end
  end
end
return out`);

/**
 * @returns the jobs that are in `delayed`; others are left out.
 * @throws InvalidRequestError when an id without a queue is in the set of several queues.
 */
export async function locate(
  client: RedisClient,
  queues: readonly string[],
  refs: readonly CheckedRef[],
): Promise<FoundJob[]> {
  const searched = [...new Set([...queues, ...refs.flatMap((ref) => ref.queue ?? [])])];
  if (searched.length === 0 || refs.length === 0) return [];
  const ids = [...new Set(refs.map((ref) => ref.id))];
  const reply = (await LOCATE_SCRIPT.run(client, searched.map(keyPrefix), ids)) as (string | number)[];
  const wanted = foundJobs(searched, reply).filter((job) =>
    refs.some((ref) => ref.id === job.id && (ref.queue === undefined || ref.queue === job.queue)),
  );
  for (const { id } of refs.filter((ref) => ref.queue === undefined)) {
    const places = wanted.filter((job) => job.id === id).map((job) => job.queue);
    if (places.length > 1) {
      throw new InvalidRequestError(`job ${id} is in several queues (${places.join(', ')}): say which one is meant`);
    }
  }
  return wanted;
}

const ANSWER_MS = 1000;

/**
 * Deletes the outbox rows of jobs that an operator has ended, so that their claims end with them. Redis has their ids
 * in `ended`, so a processor's completer makes up for a failure here some seconds later.
 */
export async function completeRows(
  { knex, redis }: { readonly knex: Knex; readonly redis: RedisClient },
  jobs: readonly { readonly id: string; readonly queue: string }[],
): Promise<void> {
  const own = jobs.filter((job) => isUuid(job.id));
  if (own.length === 0) return;
  const ids = own.map((job) => job.id);
  try {
    await deleteRows(knex, ids);
    for (const queue of new Set(own.map((job) => job.queue))) {
      await answerWithin(ANSWER_MS, redis.zRem(queueKey(queue, 'ended'), ids));
    }
  } catch {
    // The completer of a job processor deletes them later.
  }
}

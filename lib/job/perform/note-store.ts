import type { RedisClient } from '../../core/redis';
import { keyPrefix, queueKey } from '../redis/keys';
import { answerWithin, RedisScript } from '../redis/redis-script';

/** What a run notes for later ones, and for those who watch it: JSON texts. */
export interface Notes {
  readonly cursor?: string;
  readonly progress?: string;
}

/** Which delivery of which job. */
export interface NoteOwner {
  readonly id: string;
  readonly queue: string;
  readonly fence: string;
}

/** kept; or not: Redis has forgotten the delivery; or another process has the job by now. */
export type Kept = 'kept' | 'forgotten' | 'taken';

export interface NoteStore {
  write(owner: NoteOwner, notes: Notes): Promise<Kept>;
  readCursor(owner: Pick<NoteOwner, 'id' | 'queue'>): Promise<string | undefined>;
}

/** A job waits this long for its notes, ms. Short of the time that a stop gives it to heed its signal. */
const ANSWER_MS = 250;
const READ_MS = 5000;

// Only the delivery that has the job may note: one that stalled must not overwrite its successor's.
// KEYS 1 queue prefix   ARGV 1 id, 2 fence, 3 cursor or "", 4 progress or ""
const SCRIPT = new RedisScript(`
local p, id = KEYS[1], ARGV[1]
local fence = redis.call('hget', p..'deliveries', id)
if not fence then return 'forgotten' elseif fence ~= ARGV[2] then return 'taken' end
if ARGV[3] ~= '' then redis.call('hset', p..'cursor', id, ARGV[3]) end
if ARGV[4] ~= '' then redis.call('hset', p..'progress', id, ARGV[4]) end
return 'kept'`);

/** In `bq:<queue>:cursor` and `bq:<queue>:progress`. The final outcome deletes both; a Redis that is wiped loses both. */
export class RedisNoteStore implements NoteStore {
  /** @param answerMs how long a write may take until the job goes on without it. */
  constructor(
    private readonly redis: RedisClient,
    private readonly answerMs = ANSWER_MS,
  ) {}

  async write({ id, queue, fence }: NoteOwner, { cursor = '', progress = '' }: Notes): Promise<Kept> {
    return (await SCRIPT.run(this.redis, [keyPrefix(queue)], [id, fence, cursor, progress], this.answerMs)) as Kept;
  }

  async readCursor({ id, queue }: Pick<NoteOwner, 'id' | 'queue'>): Promise<string | undefined> {
    return (await answerWithin(READ_MS, this.redis.hGet(queueKey(queue, 'cursor'), id))) ?? undefined;
  }
}

/** For jobs that have no record in Redis. */
export class MemoryNoteStore implements NoteStore {
  private readonly cursors = new Map<string, string>();

  async write({ id }: NoteOwner, { cursor }: Notes): Promise<Kept> {
    if (cursor !== undefined) this.cursors.set(id, cursor);
    return 'kept';
  }

  async readCursor({ id }: Pick<NoteOwner, 'id'>): Promise<string | undefined> {
    return this.cursors.get(id);
  }
}

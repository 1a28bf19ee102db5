import { Events } from '../../core/events';
import { Redis, type RedisClient } from '../../core/redis';
import { RedisScript } from '../../core/redis-script';
import type { Deadline } from '../../support/deadline';
import { queueKey } from './keys';

/** Timeout of a reply, ms. */
const ANSWER_MS = 500;
/** Redis is left alone for this long after it has not answered, ms; meanwhile jobs are found in Postgres. */
const AVOID_MS = 1000;
/** How long one command waits for a hint, s; while a queue is paused less, since a resumed one is not waited for. */
const WAIT_S = 60;
/** A hint that has come so soon, ms, may not be the only one. */
const SOON_MS = 2;
/** A waiting connection that owes a reply for longer than this counts as dead, ms. */
const PATIENCE_MS = 75_000;

/** What a queue had in Redis: the id of a job, or a job of a plain bee-queue producer. */
export interface Hint {
  readonly queue: string;
  readonly id: string;
  /** The record of a plain producer's job, in bee-queue's form. */
  readonly record?: string | undefined;
}

// KEYS  `waiting`, `jobs` of each queue
// ARGV  1 how many ids are wanted, then the numbers of the queues in their order
// reply for each: number of its queue, id, record or '' (an empty record is a space, which is as unreadable)
const POP = new RedisScript(`
local call, out = redis.call, {}
for n = 2, #ARGV do
  local q = tonumber(ARGV[n])
  local base, left = (q - 1) * 2, ARGV[1] - #out / 3
  for _, id in ipairs(left > 0 and call('rpop', KEYS[base + 1], left) or {}) do
    local record = call('hget', KEYS[base + 2], id)
    record = record == '' and ' ' or record or ''
    for _, value in ipairs({ q, id, record }) do out[#out + 1] = value end
  end
end
return out`);

/** Reads the ids that wait in the queues of this process, and waits for the next one on a connection of its own. */
export class HintReader {
  private avoidUntil = Number.NEGATIVE_INFINITY;
  private readonly waiter: Redis;
  /** The hint that was waited for, until it is used. */
  private waitedFor: Hint | undefined;
  /** true: `waitedFor` came so late that it is the only hint, as far as is known. */
  private isSole = false;
  isWaiting = false;
  /** `waiting` and `jobs` of each queue. */
  private readonly keys: readonly string[];

  /** @param url of the same server as the shared client, for the connection that waits. */
  constructor(
    private readonly redis: RedisClient,
    url: string,
    private readonly queues: readonly string[],
  ) {
    this.keys = queues.flatMap((queue) => (['waiting', 'jobs'] as const).map((key) => queueKey(queue, key)));
    // Outages are reported by the shared connection, so nobody listens to the events of this one.
    this.waiter = new Redis(url, new Events(), { patienceMs: PATIENCE_MS });
  }

  async start(): Promise<void> {
    await this.waiter.start();
  }

  async stop(deadline: Deadline): Promise<void> {
    // The connection may be waiting for a hint, so it cannot say goodbye.
    if (this.waiter.client.isOpen) this.waiter.client.destroy();
    await this.waiter.stop(deadline);
  }

  /** false: Redis does not answer, so jobs have to be found in Postgres. */
  get ready(): boolean {
    return this.redis.isReady && performance.now() >= this.avoidUntil;
  }

  /**
   * Takes hints from the queues.
   * @param order numbers of queues.
   * @throws when Redis does not answer: hints may be lost then, which the dispatcher makes up for.
   */
  async pop(order: readonly number[], wanted: number): Promise<Hint[]> {
    const numbers = order.map((queue) => String(queue + 1));
    const reply = (await POP.run(this.redis, [...this.keys], [String(wanted), ...numbers], ANSWER_MS).catch(
      (error: unknown) => {
        this.avoidUntil = performance.now() + AVOID_MS;
        throw error;
      },
    )) as (string | number)[];
    const hints: Hint[] = [];
    for (let i = 0; i + 2 < reply.length; i += 3) {
      const queue = this.queues[Number(reply[i]) - 1] ?? '';
      hints.push({ queue, id: String(reply[i + 1]), record: String(reply[i + 2]) || undefined });
    }
    return hints;
  }

  /** @returns the record of a hint that was waited for, if it is a plain producer's job. @throws when Redis does not answer. */
  async readRecord({ queue, id }: Hint): Promise<string | undefined> {
    const record = await this.redis.hGet(queueKey(queue, 'jobs'), id);
    return record === '' ? ' ' : (record ?? undefined);
  }

  /** true: there is a hint that was waited for, and it is alone. */
  get hasSole(): boolean {
    return this.waitedFor !== undefined && this.isSole;
  }

  /** @returns the hint that was waited for, which the caller uses or gives to another process; undefined when there is none. */
  unused(): Hint | undefined {
    const hint = this.waitedFor;
    this.waitedFor = undefined;
    return hint;
  }

  /**
   * Waits for the next hint, in the order of the queues. Redis gives each hint to one of those that wait, so a lone job wakes
   * one processor, however many there are.
   * @param numbers of the queues.
   * @param onEnd called when there is a hint (`unused`), after a while, or when the connection is lost; not called when this
   * waits already.
   * @returns false when it cannot wait, since its connection is lost while the shared one is there.
   */
  wait(numbers: readonly number[], isShort: boolean, onEnd: () => void): boolean {
    const { client } = this.waiter;
    if (this.isWaiting) return true;
    if (!client.isReady) return false;
    this.isWaiting = true;
    const keys = numbers.map((number) => this.keys[2 * number] ?? '');
    const since = performance.now();
    const ended = (hint?: Hint) => {
      this.isWaiting = false;
      this.waitedFor = hint ?? this.waitedFor;
      this.isSole = performance.now() - since >= SOON_MS;
      onEnd();
    };
    client.brPop(keys, isShort ? 1 : WAIT_S).then(
      (found) => {
        const number = numbers.find((_, n) => found?.key.endsWith(keys[n] ?? ''));
        if (found === null || number === undefined) return ended();
        ended({ queue: this.queues[number] ?? '', id: found.element });
      },
      () => ended(),
    );
    return true;
  }
}

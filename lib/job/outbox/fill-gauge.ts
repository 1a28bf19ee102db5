import type { RedisClient } from '../../core/redis';
import { type QueueStatus, readQueues } from '../queue/queue-status';
import { answerWithin } from '../redis/redis-script';

const ANSWER_MS = 5000;
/** More jobs of one queue than processors take in the time that a refill needs. */
const MOST_WAITING = 10_000;
/** Times as many may be held for the limits of their classes, so that a slow class does not keep others of its queue away. */
const HELD_FACTOR = 10;
/** Waiting and held together, while Redis is short of memory. */
const FEW = 200;
/** Part of Redis's `maxmemory` that may be in use before it counts as short. */
const MEMORY_SHARE = 0.7;

/** Which queues are full: what more there is for them waits in the outbox, so that Redis's memory stays bounded. */
export class FillGauge {
  private readonly fullQueues = new Set<string>();
  private short = false;

  constructor(
    private readonly redis: RedisClient,
    private readonly mostWaiting: number = MOST_WAITING,
  ) {}

  get full(): readonly string[] {
    return [...this.fullQueues];
  }

  /** Redis is short of memory: little more should be copied at once. */
  get isShort(): boolean {
    return this.short;
  }

  /** Looks at these queues, and at those that were full. @returns whether one of them is not full any more. */
  async look(queues: Iterable<string> = []): Promise<boolean> {
    const looked = [...new Set([...this.fullQueues, ...queues])];
    if (looked.length === 0) return false;
    // Some managed plans let nobody ask; then only the numbers count.
    const memory = this.redis.info('memory').catch(() => '');
    const [info, statuses] = await answerWithin(ANSWER_MS, Promise.all([memory, readQueues(this.redis, looked)]));
    this.short = isShort(info);
    let eased = false;
    for (const status of statuses) {
      if (this.isFull(status)) this.fullQueues.add(status.name);
      else if (this.fullQueues.delete(status.name)) eased = true;
    }
    return eased;
  }

  private isFull({ waiting, held }: QueueStatus): boolean {
    const { mostWaiting } = this;
    if (this.short) return waiting + held >= Math.min(FEW, mostWaiting);
    return waiting >= mostWaiting || held >= mostWaiting * HELD_FACTOR;
  }
}

function isShort(info: string): boolean {
  const used = Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0);
  const most = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
  return most > 0 && used > most * MEMORY_SHARE;
}

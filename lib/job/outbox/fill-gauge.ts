import type { RedisClient } from '../../core/redis';
import { queueKey } from '../redis/keys';
import { answerWithin } from '../redis/redis-script';

const ANSWER_MS = 5000;
/** More jobs of one queue than processors take in the time that a refill needs. */
const MOST_WAITING = 10_000;
/** The same while Redis is short of memory. */
const FEW_WAITING = 200;
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
    const lengths = looked.map((queue) => this.redis.lLen(queueKey(queue, 'waiting')));
    // Some managed plans let nobody ask; then only the number counts.
    const memory = this.redis.info('memory').catch(() => '');
    const [info, ...waiting] = await answerWithin(ANSWER_MS, Promise.all([memory, ...lengths]));
    this.short = isShort(info);
    const most = this.short ? Math.min(FEW_WAITING, this.mostWaiting) : this.mostWaiting;
    let eased = false;
    looked.forEach((queue, index) => {
      if ((waiting[index] ?? 0) >= most) this.fullQueues.add(queue);
      else if (this.fullQueues.delete(queue)) eased = true;
    });
    return eased;
  }
}

function isShort(info: string): boolean {
  const used = Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0);
  const most = Number(/^maxmemory:(\d+)/m.exec(info)?.[1] ?? 0);
  return most > 0 && used > most * MEMORY_SHARE;
}

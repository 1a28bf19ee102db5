import { randomBytes } from 'node:crypto';
import type { Events } from '../core/events';
import type { Redis } from '../core/redis';
import { Backlog } from '../support/backlog';
import { deferred } from '../support/deferred';
import { toError } from '../support/to-error';
import { type Carrier, splitFrame } from './broadcast';

export interface RedisCarrierOptions {
  readonly redis: Redis;
  readonly events: Events;
  /** The name of the app: another app on the same Redis does not hear it. */
  readonly app: string;
  /** Id of the tree, whose own broadcasts are ignored. Default: one for this process alone. */
  readonly tree?: string | undefined;
}

/** Carries broadcasts between trees, on the connection to Redis that each process has anyway. */
export class RedisCarrier implements Carrier {
  private readonly channel: string;
  private readonly tree: string;
  private readonly backlog: Backlog;
  private refused = false;

  constructor(private readonly options: RedisCarrierOptions) {
    const { redis, events, app, tree } = options;
    // A database of Redis has keys of its own, but no channels.
    this.channel = `catamount:broadcast:${app}:${redis.databaseNumber}`;
    this.tree = tree ?? randomBytes(6).toString('hex');
    this.backlog = new Backlog(() => events.emit('broadcast.dropped', { to: 'Redis' }));
  }

  listen(hear: (frame: string) => void): Promise<void> {
    const inForce = deferred();
    const onMessage = (text: string) => {
      const [tree, frame] = splitFrame(text);
      if (tree !== this.tree) hear(frame);
    };
    this.options.redis.listen(this.channel, onMessage, (refusal) => {
      if (refusal) this.report(refusal, 'subscribing to broadcasts of other trees');
      // A refusal also ends the wait: nobody should wait for ever.
      inForce.resolve();
    });
    return inForce.promise;
  }

  send(frame: string): void {
    const { redis } = this.options;
    if (!redis.client.isReady) return;
    const written = this.backlog.take(frame.length);
    if (!written) return;
    const sent = redis.publish(this.channel, `${this.tree} ${frame}`).finally(written);
    sent.then(
      () => {
        this.refused = false;
      },
      (thrown) => {
        // A lost connection is reported as such.
        if (redis.client.isReady && !this.refused) this.report(toError(thrown), 'broadcasting to other trees');
        this.refused = true;
      },
    );
  }

  private report(error: Error, during: string): void {
    this.options.events.emit('process.error', { error, during });
  }
}

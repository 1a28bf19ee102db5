import { createClient } from '../internals/redis-client';
import { Deadline, deferred, toError } from '../support/async';
import type { Service } from '../support/service';
import type { Events } from './events';
import { redisTlsMode, withTlsAdvice } from './tls';

/** Of the modules nothing is loaded (internals/redis-client.ts). */
export type RedisClient = Omit<
  ReturnType<typeof createRedis>,
  'bf' | 'cf' | 'cms' | 'ft' | 'json' | 'tDigest' | 'topK' | 'ts'
>;

function createRedis(url: string) {
  return createClient({
    url: withoutTlsMode(url),
    socket: {
      connectTimeout: 5000,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 2000),
      ...redisTls(url),
    },
    // Idle connections are cut by managed servers after 300 s.
    pingInterval: 60_000,
    // While Redis is away a command fails at once instead of waiting for it to come back.
    disableOfflineQueue: true,
    // The client's own limit ends when a command has been written, and costs each a signal and an error, 5 s later. Who
    // cannot wait for an answer brings a limit of his own (core/redis-script.ts).
    commandOptions: { timeout: 0 },
  });
}

/** What both clients are told of TLS (tls.ts). Empty for redis://. */
export function redisTls(
  url: string,
): { readonly tls: true; readonly rejectUnauthorized: boolean } | Record<string, never> {
  const mode = redisTlsMode(url);
  return mode === 'off' ? {} : { tls: true, rejectUnauthorized: mode === 'checked' };
}

/** The URL without our `sslmode`, which Redis clients do not know. */
export function withoutTlsMode(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.delete('sslmode');
  return parsed.toString();
}

/** This process's one shared connection (redis 6). Never give it a blocking command. */
export class Redis implements Service {
  readonly name = 'redis';
  readonly client: RedisClient;
  private connecting: Promise<unknown> | undefined;
  private readonly attempted = deferred();
  private lost = false;

  constructor(url: string, events: Events) {
    this.client = createRedis(url);
    // Without a listener an error on an idle connection would end the process.
    this.client.on('error', (error: unknown) => {
      if (!this.lost) events.emit('redis.lost', { error: withTlsAdvice(toError(error), 'Redis') });
      this.lost = true;
      this.attempted.resolve();
    });
    this.client.on('ready', () => {
      this.lost = false;
      this.attempted.resolve();
      events.emit('redis.ready', {});
    });
  }

  /** Returns at once: a process must come up, and take sign-ups, while Redis is away. */
  async start(): Promise<void> {
    this.connecting ??= this.client.connect().catch(() => undefined);
  }

  /** Waits until the first attempt to connect has ended, well or not, but no longer than `ms`. */
  async firstAttempt(ms: number): Promise<void> {
    await Deadline.after(ms).wait(this.attempted.promise);
  }

  async stop(deadline: Deadline): Promise<void> {
    if (!this.client.isOpen) return;
    if (this.client.isReady) await deadline.wait(this.client.close()).catch(() => undefined);
    if (this.client.isOpen) this.client.destroy();
  }

  async ping(): Promise<void> {
    await this.client.ping();
  }
}

import { createClient } from '../internals/redis-client';
import { Deadline, deferred, toError } from '../support/async';
import type { Service } from '../support/service';
import type { Events } from './events';
import { redisTlsMode, withTlsAdvice } from './tls';

/** The client's type without its modules, which are not loaded (internals/redis-client.ts). */
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
    // Managed servers close connections that are idle for 300 s.
    pingInterval: 60_000,
    // While Redis is away commands fail at once instead of waiting for it.
    disableOfflineQueue: true,
    // The client's own timeout covers only the time until a command is written, and costs each a signal and an error.
    // Timeouts of replies are in core/redis-script.ts.
    commandOptions: { timeout: 0 },
  });
}

/** @returns the TLS options for both Redis clients (tls.ts); empty for redis://. */
export function redisTls(
  url: string,
): { readonly tls: true; readonly rejectUnauthorized: boolean } | Record<string, never> {
  const mode = redisTlsMode(url);
  return mode === 'off' ? {} : { tls: true, rejectUnauthorized: mode === 'checked' };
}

/** @returns the URL without our `sslmode`, which Redis clients do not know. */
export function withoutTlsMode(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.delete('sslmode');
  return parsed.toString();
}

/** The process's one shared connection (redis 6). It must not be given a blocking command. */
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

  /** Does not wait for the connection, since a process must start, and take sign-ups, while Redis is away. */
  async start(): Promise<void> {
    this.connecting ??= this.client.connect().catch(() => undefined);
  }

  /** Waits for the first attempt to connect, successful or not, for at most `ms`. */
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

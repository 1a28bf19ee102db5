import { AsyncResource } from 'node:async_hooks';
import { createClient, isDemotion, isOfClient, replaceRejections, watchReplies } from '../internals/redis-client';
import { Backoff } from '../support/backoff';
import { Deadline } from '../support/deadline';
import { deferred } from '../support/deferred';
import { SilenceWatch } from '../support/progress';
import type { Service } from '../support/service';
import { toError } from '../support/to-error';
import type { Events } from './events';
import { clientUrl, readKeyPrefix, redisTls } from './redis-url';
import { withTlsAdvice } from './tls';

/** The client's type without its modules, which are not loaded (internals/redis-client.ts). */
export type RedisClient = Omit<
  ReturnType<typeof createRedis>,
  'bf' | 'cf' | 'cms' | 'ft' | 'json' | 'tDigest' | 'topK' | 'ts'
>;

function createRedis(url: string) {
  return createClient({
    url: clientUrl(url),
    clientInfoTag: 'catamount',
    keyPrefix: readKeyPrefix(url),
    socket: {
      connectTimeout: 5000,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 2000),
      ...redisTls(url),
    },
    // Managed servers close connections that are idle for 300 s.
    pingInterval: 150_000,
    // While Redis is unavailable commands fail at once instead of waiting for it.
    disableOfflineQueue: true,
    // The client's own timeout covers only the time until a command is written, and costs each a signal and an error.
    // Timeouts of replies are in core/redis-script.ts.
    commandOptions: { timeout: 0 },
  });
}

/** The errors that ended a connection to Redis, or kept it from being made: commands reject with them. */
const LOST_BY = new WeakSet<Error>();
/** Names of the errors of the client and of ours while Redis does not answer. */
const AWAY = /^(NoConnection|SocketTimeout|ConnectionTimeout|CommandTimeout|Timeout|RedisTimeout)/;

/** @returns true for an error with which a command rejects while Redis is away. */
export function isRedisOutage(error: Error): boolean {
  return LOST_BY.has(error) || AWAY.test(error.name) || AWAY.test(error.constructor.name);
}

/** There is no connection to Redis at the moment. It has the message and the code of the error that ended it, if known. */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError';

  constructor(cause?: Error) {
    super(cause?.message || 'there is no connection to Redis', { cause });
    if (cause && 'code' in cause) Object.assign(this, { code: cause.code });
  }
}

/** Given to the client of a Redis that is off, which never connects. */
const NOWHERE = 'redis://off.invalid';

/** The code of the errors with which commands reject while Redis is off. */
export const REDIS_OFF = 'REDIS_OFF';

/** A key that nobody writes: deleting it changes nothing, and shows whether a server accepts writes. */
export const PROBE_KEY = 'catamount:probe';

/**
 * The process's one shared connection (redis 6). It must not be given a blocking command. When its server has become a
 * read-only replica, or does not answer, it reconnects, to whichever server the URL's name leads to by then.
 */
export class Redis implements Service {
  readonly name = 'redis';
  readonly client: RedisClient;
  /** true: there is none and never will be; commands reject at once, and nobody is to complain of that. */
  readonly isOff: boolean;
  private readonly url: string;
  private connecting: Promise<unknown> | undefined;
  private readonly attempted = deferred();
  /** Since when it has not been reachable, ms on the monotonic clock; undefined: it is, or nothing is known yet. */
  private lostSince: number | undefined;
  /**
   * The error that ended the connection, or kept it from being made; undefined while there is one. Commands reject with
   * its message, where the client itself would only say that it has no connection.
   */
  private lostBy: Error | undefined;
  /** The rejection of a write by a server that is no longer the master. */
  private demotion: Error | undefined;
  private readonly backoff = new Backoff({ base: 50, max: 2000 });
  private reconnection: NodeJS.Timeout | undefined;
  private stopped = false;

  /**
   * @param url null: it is off.
   * @param options.patienceMs it reconnects when a reply has been due for so long: its server is frozen, or the connection has
   * ended without notice. Default 10,000.
   */
  constructor(
    url: string | null,
    private readonly events: Events,
    { patienceMs = 10_000 }: { readonly patienceMs?: number } = {},
  ) {
    this.isOff = url === null;
    this.url = url ?? NOWHERE;
    this.client = this.observe(createRedis(this.url), patienceMs);
    if (url === null) {
      this.lostBy = Object.assign(new Error('Redis is off'), { code: REDIS_OFF });
      this.attempted.resolve();
    }
  }

  private observe(client: ReturnType<typeof createRedis>, patienceMs: number): typeof client {
    // A silent connection does not concern the request whose command had no reply, so its context is left out.
    const onSilent = AsyncResource.bind((error: Error) => this.leave(error));
    const silence = new SilenceWatch(patienceMs, onSilent);
    silence.expectGreeting(client);
    watchReplies(client, silence.expect);
    // Without a listener an error on an idle connection would end the process.
    client.on('error', (error: unknown) => this.lose(toError(error)));
    client.on('ready', () => void this.connected());
    replaceRejections(client, (error) => {
      if (isDemotion(error)) this.leave(toError(error));
      return isOfClient(error) ? new NoConnectionError(this.lostBy) : error;
    });
    return client;
  }

  /** Time for which it has not been reachable, ms; null: it is, or nothing is known yet. */
  get awayMs(): number | null {
    return this.lostSince === undefined ? null : Math.round(performance.now() - this.lostSince);
  }

  /** Does not wait for the connection, since a process must start, and accept sign-ups, while Redis is unavailable. */
  async start(): Promise<void> {
    if (!this.isOff) this.connecting ??= this.connect();
  }

  private connect(): Promise<unknown> {
    return this.client.connect().catch(() => undefined);
  }

  /**
   * Listens to a channel on this same connection (RESP 3), also after reconnections.
   * @param onHeard called whenever Redis confirms the subscription, since earlier messages were missed; or with its refusal.
   * @returns a function: is the subscription in force? Not before Redis confirms it; never for a login without the right.
   */
  listen(channel: string, onMessage: (message: string) => void, onHeard = (_refusal?: Error) => {}): () => boolean {
    let confirmed = false;
    const heard = () => {
      confirmed = true;
      onHeard();
    };
    // If the connection was lost instead, the next one subscribes again.
    const refused = (error: unknown) => this.client.isReady && onHeard(toError(error));
    const ask = () => this.client.subscribe(readKeyPrefix(this.url) + channel, onMessage).then(heard, refused);
    // The client subscribes again by itself; asking again tells when that is in force.
    this.events.on('redis.ready', ask);
    if (this.client.isReady) void ask();
    return () => confirmed && this.client.isReady;
  }

  /** Sends a message to those that `listen` to the channel, also in other processes. */
  async publish(channel: string, message: string): Promise<void> {
    await this.client.publish(readKeyPrefix(this.url) + channel, message);
  }

  /** The number of the database in Redis that the URL selects. */
  get databaseNumber(): number {
    return Number(new URL(this.url).pathname.slice(1));
  }

  /** Waits for the first attempt to connect, successful or not, for at most `ms`. */
  async firstAttempt(ms: number): Promise<void> {
    await Deadline.after(ms).wait(this.attempted.promise);
  }

  async stop(deadline: Deadline): Promise<void> {
    this.stopped = true;
    clearTimeout(this.reconnection);
    if (!this.client.isOpen) return;
    if (this.client.isReady) await deadline.wait(this.client.close()).catch(() => undefined);
    if (this.client.isOpen) this.client.destroy();
  }

  /**
   * @throws when Redis does not answer, or rejects writes because it is no longer the master or has lost its replicas.
   */
  async ping(): Promise<void> {
    await this.client.ping();
    if (this.demotion) throw this.demotion;
  }

  private lose(error: Error): void {
    if (this.lostSince === undefined) this.events.emit('redis.lost', { error: withTlsAdvice(error, 'Redis') });
    this.lostSince ??= performance.now();
    this.lostBy = error;
    LOST_BY.add(error);
    this.attempted.resolve();
  }

  private async connected(): Promise<void> {
    if (this.demotion && !(await this.acceptsWrites())) return;
    this.demotion = undefined;
    this.lostBy = undefined;
    this.backoff.reset();
    const awayMs = this.lostSince === undefined ? null : performance.now() - this.lostSince;
    this.lostSince = undefined;
    this.attempted.resolve();
    this.events.emit('redis.ready', { awayMs });
  }

  private async acceptsWrites(): Promise<boolean> {
    // If the connection is lost meanwhile, the next one is probed.
    return this.client.del(PROBE_KEY).then(
      () => true,
      (error: unknown) => !isDemotion(error) && this.client.isReady,
    );
  }

  /** Reconnects, since this server is no longer the right one or does not answer; the reason is reported as an outage. */
  private leave(reason: Error): void {
    if (this.stopped || this.reconnection) return;
    this.demotion = reason;
    this.lose(reason);
    this.reconnection = setTimeout(() => {
      this.reconnection = undefined;
      if (this.client.isOpen) this.client.destroy();
      this.connecting = this.connect();
    }, this.backoff.next());
  }
}

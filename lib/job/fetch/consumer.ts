import { PROBE_KEY, type Redis } from '../../core/redis';
import { clientUrl, isRouted, keyPrefixOf, redisTls } from '../../core/redis-url';
import { withTlsAdvice } from '../../core/tls';
import { type BeeClient, checkStalled, createBeeClient, loadBeeScripts, WorkerQueue } from '../../internals/bee-queue';
import { isDemotion, watchReplies } from '../../internals/redis-client';
import { deferred } from '../../support/async';
import { OutageNotices } from '../../support/outage-notices';
import { PeriodicTask } from '../../support/periodic-task';
import { SilenceWatch } from '../../support/progress';
import { keyPrefix, QUEUES_KEY, UNWATCHED_KEY, WAKE_CHANNEL } from '../queue/keys';
import type { ClassLimits, Delivery } from './fetch-call';
import { Fetcher } from './fetcher';
import type { ExecutionResult, FetchOrder } from './fetcher-types';

/**
 * Maximum interval of the poll that makes up for missed wakes, and for jobs offered to a process that has died, ms. It
 * varies, so that the processors of a fleet do not all poll at once.
 */
const POLL_MS = 2000;
/** The same if some queues have no peek, since nothing announces retries that become due there, ms. */
const UNWATCHED_POLL_MS = 500;
/** Minimum interval while there are no jobs, ms: only a job that was offered to a process which died waits for it. */
const IDLE_POLL_MS = 18_000;
const IDLE_AFTER_MS = 60_000;
/** Interval at which a processor announces its queues, ms; without that they are forgotten after ten minutes. */
const ANNOUNCE_MS = 120_000;
/** The first queues have a blocking connection each, this many at most: small Redis plans allow 20 connections. */
const MOST_PEEKS = 4;
/** Added to the stall interval, whose end Redis determines by its own clock, ms. */
const STALL_SLACK_MS = 50;
/** Heartbeats of jobs per stall interval: a job that blocks the event loop for 20 of 30 s does not count as stalled. */
const BEATS = 6;
/** Time after which the check for stalled jobs looks again for a connection, ms. */
const CHECK_AGAIN_MS = 1000;
const COMMAND_PATIENCE_MS = 10_000;
/** Longer than a peek blocks, ms. */
const BLOCKING_PATIENCE_MS = 75_000;

export interface ConsumerOptions {
  readonly redisUrl: string;
  /** The process's shared connection to the same server, which also subscribes to the channels of the queues. */
  readonly redis: Redis;
  readonly queues: readonly { readonly name: string; readonly weight: number }[];
  readonly weighted: boolean;
  readonly budget: number;
  readonly limits: ClassLimits;
  readonly identity?: string | undefined;
  /** Time after which a job without a heartbeat is stalled, ms. */
  readonly stallInterval: number;
  /** Maximum interval of the poll that makes up for missed wakes, ms. Default 2000; if some queues have no peek 500. */
  readonly pollMs?: number | undefined;
  /** Time for an answer, unless it waits for jobs, after which the server counts as frozen, ms. Default 10,000. */
  readonly patienceMs?: number;
  readonly handler: (delivery: Delivery) => Promise<ExecutionResult>;
  /** Called when a job was taken back from a process that died or stalled. */
  readonly onStalled: (id: string, queue: string) => void;
  readonly onError: (error: Error, during: string) => void;
}

/**
 * The processor's connection to bee-queue: the queues, their connections (one for commands, one blocking for each of the
 * first four queues) and the fetcher over all of them. It starts as soon as Redis is available. Fetches share no
 * connection with the rest of the process, for whose large records and replies they would have to wait.
 */
export class Consumer {
  readonly fetcher: Fetcher;
  private readonly connections: readonly BeeConnection[];
  private readonly command: BeeConnection;
  private readonly queues: readonly WorkerQueue[];
  private readonly polls: PeriodicTask;
  private readonly stalls: PeriodicTask;
  private timer: NodeJS.Timeout | undefined;
  private readonly outage = new OutageNotices();
  private closed = false;
  private upkeptAt = Number.NEGATIVE_INFINITY;
  private announcedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: ConsumerOptions) {
    const { queues, weighted, budget, limits, identity, handler, onError } = options;
    const command = this.connect(
      options.patienceMs ?? COMMAND_PATIENCE_MS,
      () => this.fetcher.wake(),
      () => this.leaveMaster(),
    );
    const blocking = queues
      .slice(0, MOST_PEEKS)
      .map(() => this.connect(BLOCKING_PATIENCE_MS, () => this.fetcher.wake()));
    this.command = command;
    this.connections = [command, ...blocking];
    this.queues = queues.map(({ name }, index) => {
      return this.observe(new WorkerQueue(name, options.stallInterval, { command, blocking: blocking[index] }));
    });
    const order = weighted ? weightedOrder(queues.map((queue) => queue.weight)) : strictOrder;
    const onLost = (error: Error) => onError(error, 'fetching jobs');
    const { queues: served } = this;
    this.fetcher = new Fetcher({
      queues: served,
      command,
      budget,
      order,
      limits,
      identity,
      handler,
      onError: onLost,
    });
    const { pollMs = this.unwatched.length > 0 ? UNWATCHED_POLL_MS : POLL_MS } = options;
    this.polls = new PeriodicTask({
      everyMs: pollMs,
      work: async () => {
        this.poll();
        return pollMs * (0.5 + Math.random() / 2);
      },
      onError: onLost,
    });
    this.stalls = new PeriodicTask({
      // Earlier than this a check would be a no-op.
      everyMs: options.stallInterval + STALL_SLACK_MS,
      work: async () => {
        if (!command.ready) return CHECK_AGAIN_MS;
        await checkStalled(served, command);
        return undefined;
      },
      onError: (error) => this.report(error, 'maintaining the queues'),
    });
  }

  async start(): Promise<void> {
    this.listen();
    await loadBeeScripts();
    if (this.closed) return;
    const beat = () => void this.keepAlive().catch((error: Error) => this.report(error, 'keeping jobs alive'));
    void Promise.all(this.queues.map((queue) => queue.run())).then(() => {
      if (this.closed) return;
      this.fetcher.start();
      this.stalls.start();
      beat();
    });
    this.polls.start();
    this.timer = setInterval(beat, Math.ceil(this.options.stallInterval / BEATS));
  }

  /** Call when more may be due than the timers of delayed jobs know. */
  lookAnew(): void {
    for (const queue of this.queues) queue.raiseDelayed();
    this.fetcher.wake();
  }

  /** Ends connections and timers. Idempotent. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    void this.polls.stop();
    void this.stalls.stop();
    clearInterval(this.timer);
    this.fetcher.close();
    for (const queue of this.queues) queue.close();
    for (const connection of this.connections) connection.end();
  }

  private listen(): void {
    const { redis, queues } = this.options;
    for (const queue of this.queues) redis.listen(queue.earlierChannel, (at) => queue.heed(at));
    const prefixes = new Set(queues.map(({ name }) => keyPrefix(name)));
    const onWake = (prefix: string) => {
      if (prefixes.has(prefix)) this.fetcher.wake();
    };
    // Redis confirms this channel after the others.
    redis.listen(WAKE_CHANNEL, onWake, (refusal) => {
      if (refusal) this.report(refusal, 'the connection to Redis');
      else if (!this.closed) this.lookAnew();
    });
  }

  private connect(patienceMs: number, onReady: () => void, onPromoted?: () => void): BeeConnection {
    const onError = (error: Error) => {
      const lasting = this.outage.failed();
      if (lasting !== undefined) this.report(error, `the connection to Redis${lasting}`);
    };
    return new BeeConnection({
      url: this.options.redisUrl,
      patienceMs,
      onReady: () => {
        this.outage.over();
        onReady();
      },
      onPromoted,
      onError,
    });
  }

  /**
   * Moves the other connections to the new master, too. One that waits at the old one would find out a minute later that
   * this is frozen, and one that subscribes never that it is a replica by now.
   */
  private leaveMaster(): void {
    for (const connection of this.connections) if (connection !== this.command) connection.drop();
    // The shared connection notices by itself, at its next write, that its server is a replica.
    this.options.redis.client.del(PROBE_KEY).catch(() => undefined);
  }

  private observe(queue: WorkerQueue): WorkerQueue {
    queue.on('stalled', (id: string) => this.options.onStalled(id, queue.name));
    queue.on('error', (error: Error) => this.report(error, `maintaining queue ${queue.name}`));
    return queue;
  }

  private report(error: Error, during: string): void {
    if (!this.closed) this.options.onError(error, during);
  }

  private poll(): void {
    const now = performance.now();
    const isIdle = now - this.fetcher.deliveredAt > IDLE_AFTER_MS && this.unwatched.length === 0;
    if (isIdle && this.command.ready && now - this.upkeptAt < IDLE_POLL_MS) return;
    this.upkeptAt = now;
    this.fetcher.upkeep();
  }

  private async keepAlive(): Promise<void> {
    const running = [...this.fetcher.deliveries];
    await Promise.all([
      ...this.queues.map((queue) =>
        queue.keepAlive(running.filter((job) => job.queue === queue.name).map((job) => job.id)),
      ),
      ...(this.command.ready && performance.now() - this.announcedAt >= ANNOUNCE_MS ? this.announce() : []),
    ]);
  }

  /** Announces that these queues are served, and those of them that no connection here waits for. */
  private announce(): Promise<unknown>[] {
    const { command, queues, unwatched } = this;
    this.announcedAt = performance.now();
    const names = queues.flatMap((queue) => [Date.now(), queue.name]);
    const announced = [command.send('zadd', [QUEUES_KEY, ...names])];
    if (unwatched.length > 0) announced.push(command.send('sadd', [UNWATCHED_KEY, ...unwatched]));
    return announced;
  }

  private get unwatched(): string[] {
    return this.queues.slice(MOST_PEEKS).map((queue) => keyPrefix(queue.name));
  }
}

/** A queue is fetched from only when those before it are empty. */
export const strictOrder: FetchOrder = (queues) => [queues];

/**
 * A queue goes first in proportion to its weight, as with Sidekiq; every queue is tried for each job.
 * Keys `random^(1/weight)`, largest first: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
 */
export function weightedOrder(weights: readonly number[], random: () => number = Math.random): FetchOrder {
  const shuffled = (queues: readonly number[]) =>
    queues
      .map((queue) => ({ queue, key: random() ** (1 / (weights[queue] ?? 1)) }))
      .sort((a, b) => b.key - a.key)
      .map(({ queue }) => queue);
  return (queues, wanted) => Array.from({ length: wanted }, () => shuffled(queues));
}

/** Reconnects the shared connection, too, when it has owed a reply for as long as a command connection may. */
export function leaveWhenSilent(redis: Redis, patienceMs = COMMAND_PATIENCE_MS): void {
  const silence = new SilenceWatch(patienceMs, (error) => redis.leave(error));
  silence.expectGreeting(redis.client);
  watchReplies(redis.client, silence.expect);
}

const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
const LONGEST_RETRY_MS = 2000;

export interface BeeConnectionOptions {
  readonly url: string;
  /** A connection that owes a reply for longer than this counts as dead, ms. */
  readonly patienceMs: number;
  /** Called each time that it has connected, the first time included. */
  readonly onReady: () => void;
  /** Called before `onReady` when writes are accepted again after the server had become a replica. */
  readonly onPromoted?: (() => void) | undefined;
  readonly onError: (error: Error) => void;
}

/**
 * One connection through bee-queue's node_redis 3 that always reconnects: it waits while Redis is unavailable, also at
 * boot, and drops a connection whose server takes commands without replying or has become a read-only replica.
 */
export class BeeConnection {
  readonly client: BeeClient;
  /** The error that broke it, or that keeps it from connecting; undefined while it holds. */
  lastError: Error | undefined;
  /** Resolves at the first connection. */
  readonly firstReady = deferred();
  private readonly silence: SilenceWatch;
  private retryMs = 50;
  private demoted = false;

  constructor(private readonly options: BeeConnectionOptions) {
    const { url, onError } = options;
    const tls = redisTls(url);
    // Loaded on demand: one plain server, which most apps have, needs no route.
    const routing = () => require('../../core/redis-route') as typeof import('../../core/redis-route');
    const locate = isRouted(url) ? routing().locatorOf(url) : undefined;
    const settings = {
      url: clientUrl(url),
      prefix: keyPrefixOf(url),
      ...('tls' in tls && { tls: { rejectUnauthorized: tls.rejectUnauthorized } }),
      connect_timeout: CONNECT_TIMEOUT_MS,
      socket_initial_delay: KEEP_ALIVE_MS,
      retry_strategy: () => {
        client.retry_totaltime = 0;
        this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
        return this.retryMs;
      },
    };
    const client: BeeClient = createBeeClient(settings, locate);
    this.client = client;
    client.on('error', (error: Error) => {
      this.lastError = error;
      onError(withTlsAdvice(error, 'Redis'));
    });
    // By then there may be a new master, to which the other connections must move, too.
    this.silence = new SilenceWatch(options.patienceMs, (error) => client.connected && this.leave(error));
    this.silence.expectGreeting(client);
    client.on('ready', () => {
      // A replica rejects the probe, too, which drops the connection again, after a longer wait each time.
      if (this.demoted) this.probe();
      else this.accepted();
    });
  }

  get ready(): boolean {
    return this.client.ready;
  }

  /** @throws the client's error; when the connection was lost the command may have run. */
  send(command: string, args: readonly (string | number)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.silence.asked();
      this.client.send_command(command, args, (error, reply) => {
        this.silence.answered();
        if (error && isDemotion(error)) this.leave(error);
        if (error) reject(error);
        else resolve(reply);
      });
    });
  }

  /** Closes the connection; node_redis makes a new one, to the server that the URL's name leads to by then. */
  drop(): void {
    if (this.client.connected) this.client.stream.destroy();
  }

  end(): void {
    this.client.end(true);
  }

  private leave(error: Error): void {
    this.lastError = error;
    this.demoted = true;
    this.drop();
  }

  private probe(): void {
    this.send('del', [PROBE_KEY]).then(
      () => this.accepted(),
      (error: unknown) => {
        if (!isDemotion(error) && this.client.ready) this.accepted();
      },
    );
  }

  private accepted(): void {
    const { onReady, onPromoted } = this.options;
    this.retryMs = 50;
    if (this.demoted) onPromoted?.();
    this.demoted = false;
    this.lastError = undefined;
    this.firstReady.resolve();
    onReady();
  }
}

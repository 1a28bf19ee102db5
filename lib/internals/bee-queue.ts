import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import { isNoScript } from './redis-errors';

/**
 * The only file that imports bee-queue (pinned to 2.0.0: private parts are used). Declares what we touch of it, and of
 * the node_redis 3 that it brings.
 */

/** A node_redis 3 client. bee-queue accepts it by the name of its constructor. */
export interface BeeClient extends EventEmitter {
  readonly ready: boolean;
  readonly connected: boolean;
  /** `end` was called. */
  readonly closing: boolean;
  readonly stream: { destroy(): void };
  /** When it reaches `connect_timeout` the client gives up for good. */
  retry_totaltime: number;
  /** Survives reconnecting once Redis has had it. */
  subscribe(channel: string, done: BeeCallback): void;
  send_command(command: string, args: readonly (string | number)[], done: BeeCallback): void;
  /** true: aborts what is pending. */
  end(flush: boolean): void;
}

export type BeeCallback = (error: Error | null, reply?: unknown) => void;

export interface BeeClientOptions {
  readonly url: string;
  readonly tls?: { readonly rejectUnauthorized: boolean };
  readonly connect_timeout: number;
  readonly socket_initial_delay: number;
  readonly retry_strategy: (attempt: { readonly error: Error | null }) => number;
}

export interface BeeSettings {
  readonly autoConnect: boolean;
  readonly ensureScripts: boolean;
  readonly getEvents: boolean;
  readonly sendEvents: boolean;
  readonly storeJobs: boolean;
  readonly removeOnSuccess: boolean;
  readonly activateDelayedJobs: boolean;
  readonly stallInterval: number;
  readonly nearTermWindow: number;
  readonly delayedDebounce: number;
}

export interface BeeQueueInstance extends EventEmitter {
  readonly name: string;
  readonly settings: { readonly keyPrefix: string; readonly stallInterval: number };
  client: BeeClient | null;
  bclient: BeeClient | null;
  eclient: BeeClient | null;
  /** Closing. */
  paused: boolean;
  checkTimer: NodeJS.Timeout | null;
  _isReady: boolean;
  _isClosed: boolean;
  readonly _delayedTimer: { stop(): void };
  checkStalledJobs(interval: number): Promise<number>;
  toKey(key: string): string;
  _activateDelayed(): void;
  _onMessage(channel: string, message: string): void;
  /** @param args the script's name, then what EVALSHA takes after the hash. */
  _evalScriptOn(target: BeeClient, args: unknown[]): Promise<unknown>;
}

// bee-queue's own types leave out the parts we use.
const beeQueue = require('bee-queue') as new (name: string, settings: BeeSettings) => BeeQueueInstance;
const lua = require('bee-queue/lib/lua') as {
  readonly scripts: Readonly<Record<string, string>>;
  buildCache(client: { script(verb: string, text: string, done: BeeCallback): void }): Promise<unknown>;
};

export const BeeQueue = beeQueue;

/** bee-queue's own scripts by name, once `loadBeeScripts` has read them. */
export const beeScripts = lua.scripts;

/**
 * Reads bee-queue's scripts from disk without sending them to Redis: whoever runs one sends it when Redis lacks it.
 * (bee-queue would send them once, at the start, and fail for good when Redis is lost at that moment.)
 */
export async function loadBeeScripts(): Promise<void> {
  await lua.buildCache({ script: (_verb, _text, done) => done(null, [1]) });
}

const beesOwn = createRequire(require.resolve('bee-queue'));

export function createBeeClient(options: BeeClientOptions): BeeClient {
  const { createClient } = beesOwn('redis') as { createClient(options: BeeClientOptions): BeeClient & OfflineQueue };
  const client = createClient(options);
  // A node_redis that is built otherwise keeps its own way.
  if (typeof client.send_offline_queue !== 'function' || typeof client.internal_send_command !== 'function')
    return client;
  // Its own way goes round for ever when the connection has ended again by then: what cannot be sent comes back to the
  // queue, and is taken from it again.
  client.send_offline_queue = () => {
    const { offline_queue: queue } = client;
    for (let left = queue.length; left > 0; left--) client.internal_send_command(queue.shift());
    client.drain();
  };
  return client;
}

/** Commands that wait for the connection. */
interface OfflineQueue {
  readonly offline_queue: { readonly length: number; shift(): unknown };
  send_offline_queue: () => void;
  internal_send_command(command: unknown): void;
  drain(): void;
}

/** What a queue asks of a connection. */
export interface QueueConnection {
  readonly client: BeeClient;
  readonly ready: boolean;
  /** Resolves at the first connection. */
  readonly firstReady: { readonly promise: Promise<void> };
  send(command: string, args: readonly (string | number)[]): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): void;
}

/** The connections of one queue; the first two are shared by all queues of a process. */
export interface QueueConnections {
  readonly command: QueueConnection;
  readonly subscriber: QueueConnection;
  /** undefined: nothing waits for its next job. */
  readonly blocking: QueueConnection | undefined;
}

const SETTINGS: Omit<BeeSettings, 'stallInterval'> = {
  autoConnect: false,
  ensureScripts: false,
  getEvents: false,
  sendEvents: false,
  storeJobs: false,
  removeOnSuccess: true,
  activateDelayedJobs: true,
  nearTermWindow: 15_000,
  delayedDebounce: 100,
};

/**
 * A bee-queue on connections that are given to it: keeps its delayed jobs (our retries) and the rescue of stalled ones,
 * leaves fetching and outcomes to the fetcher. Unlike its parent it outlives a Redis that forgets scripts.
 */
export class WorkerQueue extends BeeQueue {
  /** @param stallInterval jobs whose process has not been heard of for this long are rescued, ms. */
  constructor(
    name: string,
    stallInterval: number,
    private readonly connections: QueueConnections,
  ) {
    super(name, { ...SETTINGS, stallInterval });
  }

  get blocking(): QueueConnection | undefined {
    return this.connections.blocking;
  }

  /** Begins whenever Redis lets it, then raises due jobs and checks for stalled ones until it is closed. */
  async run(): Promise<void> {
    await this.join();
    if (this.paused) return;
    this._activateDelayed();
    this.checkStalledJobs(Math.ceil(this.settings.stallInterval / 2)).catch((error: unknown) =>
      this.emit('error', error),
    );
  }

  /** Tells that these jobs are not stalled. */
  async keepAlive(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.connections.command.send('srem', [this.toKey('stalling'), ...ids]);
  }

  /** A message about an earlier delayed job may have been missed while the connection was away. */
  raiseDelayed(): void {
    if (this._isReady && !this.paused) this._activateDelayed();
  }

  /** Stops timers. The connections belong to whoever gave them. */
  close(): void {
    this.paused = true;
    this._isClosed = true;
    if (this.checkTimer) clearTimeout(this.checkTimer);
    this.checkTimer = null;
    this._delayedTimer.stop();
  }

  /** Instead of bee-queue's `connect()`, which fails for good when Redis is lost before it has the subscription. */
  private async join(): Promise<void> {
    const { command, subscriber, blocking } = this.connections;
    const earlierDelayed = this.toKey('earlierDelayed');
    subscriber.subscribe(earlierDelayed, (message) => this._onMessage(earlierDelayed, message));
    await Promise.all([command, subscriber, blocking].map((connection) => connection?.firstReady.promise));
    this.client = command.client;
    this.bclient = (blocking ?? command).client;
    this.eclient = subscriber.client;
    this._isReady = true;
  }

  override async _evalScriptOn(target: BeeClient, args: unknown[]): Promise<unknown> {
    const [name, ...rest] = args as [string, ...(string | number)[]];
    try {
      return await super._evalScriptOn(target, [name, ...rest]);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return this.connections.command.send('eval', [beeScripts[name] ?? '', ...rest]);
    }
  }
}

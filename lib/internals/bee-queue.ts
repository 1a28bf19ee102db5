import type { EventEmitter } from 'node:events';
import { createRequire } from 'node:module';
import type { Locate } from './located-client';
import { isNoScript } from './redis-client';

/**
 * The only file that imports bee-queue. It uses private parts, so bee-queue is pinned to 2.0.0. The types declare the
 * parts that we use of bee-queue and of the node_redis 3 that it brings.
 */

/** A node_redis 3 client. bee-queue recognizes it by the name of its constructor. */
export interface BeeClient extends EventEmitter {
  readonly ready: boolean;
  readonly connected: boolean;
  readonly stream: { destroy(): void };
  /** Time spent reconnecting, ms. The client gives up for good once it reaches `connect_timeout`. */
  retry_totaltime: number;
  send_command(command: string, args: readonly (string | number)[], done: BeeCallback): void;
  /** @param flush true: commands that wait for a reply are aborted. */
  end(flush: boolean): void;
}

export type BeeCallback = (error: Error | null, reply?: unknown) => void;

export interface BeeClientOptions {
  readonly url: string;
  /** Prefix of every key, but not of channels. */
  readonly prefix: string;
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
  /** true while the queue is closing. */
  paused: boolean;
  checkTimer: NodeJS.Timeout | null;
  _isReady: boolean;
  _isClosed: boolean;
  readonly _delayedTimer: { stop(): void };
  toKey(key: string): string;
  _activateDelayed(): void;
  _onMessage(channel: string, message: string): void;
  /** @param args the script's name, then the arguments that EVALSHA takes after the hash. */
  _evalScriptOn(target: BeeClient, args: unknown[]): Promise<unknown>;
}

// bee-queue's own types leave out the parts that we use.
const beeQueue = require('bee-queue') as new (name: string, settings: BeeSettings) => BeeQueueInstance;
const lua = require('bee-queue/lib/lua') as {
  readonly scripts: Readonly<Record<string, string>>;
  buildCache(client: { script(verb: string, text: string, done: BeeCallback): void }): Promise<unknown>;
};

export const BeeQueue = beeQueue;

/** bee-queue's own scripts by name; filled by `loadBeeScripts`. */
export const beeScripts = lua.scripts;

/**
 * Reads bee-queue's scripts from disk without sending them to Redis; a script is sent when Redis turns out to lack it.
 * bee-queue would send them once at the start, and fail for good if the connection to Redis broke at that moment.
 */
export async function loadBeeScripts(): Promise<void> {
  await lua.buildCache({ script: (_verb, _text, done) => done(null, [1]) });
}

const beesOwn = createRequire(require.resolve('bee-queue'));

/** @param locate returns the server to connect to, asked before each connection; undefined: that of the URL. */
export function createBeeClient(options: BeeClientOptions, locate?: Locate): BeeClient {
  const { createClient } = beesOwn('redis') as { createClient(options: BeeClientOptions): BeeClient & OfflineQueue };
  // Loaded on demand: a single plain server, the usual case, need not be located.
  const { locatedClient } = locate ? (require('./located-client') as typeof import('./located-client')) : {};
  const client = locate && locatedClient ? locatedClient(beesOwn, options, locate) : createClient(options);
  // A node_redis with other internals keeps its own implementation.
  if (typeof client.send_offline_queue !== 'function' || typeof client.internal_send_command !== 'function')
    return client;
  // The original loops forever when the connection has ended again meanwhile: commands that cannot be sent return to the
  // queue, from which the loop takes them again.
  client.send_offline_queue = () => {
    const { offline_queue: queue } = client;
    for (let left = queue.length; left > 0; left--) client.internal_send_command(queue.shift());
    client.drain();
  };
  return client;
}

/** Commands that wait for the connection. */
export interface OfflineQueue {
  readonly offline_queue: { readonly length: number; shift(): unknown };
  send_offline_queue: () => void;
  internal_send_command(command: unknown): void;
  drain(): void;
}

/** The operations that a queue needs of a connection. */
export interface QueueConnection {
  readonly client: BeeClient;
  readonly ready: boolean;
  /** Resolves when the connection is made for the first time. */
  readonly firstReady: { readonly promise: Promise<void> };
  send(command: string, args: readonly (string | number)[]): Promise<unknown>;
}

/** The connections of one queue; `command` is shared by all queues of a process. */
export interface QueueConnections {
  readonly command: QueueConnection;
  /** undefined for a queue that does not block on its next job. */
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
  nearTermWindow: 60_000,
  delayedDebounce: 100,
};

/**
 * A bee-queue on given connections. It keeps bee-queue's delayed jobs (our retries) and the rescue of stalled jobs;
 * fetching and outcomes belong to the fetcher. Unlike its parent it survives a Redis that loses its scripts.
 */
export class WorkerQueue extends BeeQueue {
  /** @param stallInterval jobs whose process has sent no heartbeat for this long are rescued, ms. */
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

  /** Waits for its connections, then promotes due jobs until it is closed. */
  async run(): Promise<void> {
    await this.join();
    if (!this.paused) this._activateDelayed();
  }

  /** Marks these jobs as not stalled. */
  async keepAlive(ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.connections.command.send('srem', [this.toKey('stalling'), ...ids]);
  }

  /** The channel that announces the time at which a job falls due, ms since 1970, if it is the earliest of all. */
  get earlierChannel(): string {
    return this.toKey('earlierDelayed');
  }

  /** Call with each message of that channel. */
  heed(message: string): void {
    if (this._isReady && !this.paused) this._onMessage(this.earlierChannel, message);
  }

  /**
   * Schedules the delayed jobs again: a message about an earlier one may have been missed while there was no connection.
   */
  raiseDelayed(): void {
    if (this._isReady && !this.paused) this._activateDelayed();
  }

  /** Stops the timers. The connections belong to the caller. */
  close(): void {
    this.paused = true;
    this._isClosed = true;
    if (this.checkTimer) clearTimeout(this.checkTimer);
    this.checkTimer = null;
    this._delayedTimer.stop();
  }

  /**
   * Replaces bee-queue's `connect()`, which also opens a connection for subscriptions, and fails for good if that breaks
   * before Redis confirms the subscription.
   */
  private async join(): Promise<void> {
    const { command, blocking } = this.connections;
    await Promise.all([command, blocking].map((connection) => connection?.firstReady.promise));
    this.client = command.client;
    this.bclient = (blocking ?? command).client;
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

const STALL_KEYS = ['stallBlock', 'stalling', 'waiting', 'active'];

/**
 * Returns the stalled jobs of all these queues to them, by bee-queue's own script, in one call for all queues, and emits
 * `stalled` with the id of each job. Within one stall interval only the first call of any process does anything.
 * @throws the client's error.
 */
export async function checkStalled(queues: readonly WorkerQueue[], command: QueueConnection): Promise<void> {
  const check = `
local check = function(KEYS, ARGV) ${beeScripts.checkStalledJobs} end
local out = {}
for k = 1, #KEYS, 4 do out[#out + 1] = check({ KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3] }, ARGV) end
return out`;
  const keys = queues.flatMap((queue) => STALL_KEYS.map((key) => queue.toKey(key)));
  const stallInterval = queues[0]?.settings.stallInterval ?? 0;
  const stalled = (await command.send('eval', [check, keys.length, ...keys, stallInterval])) as string[][];
  for (const [index, queue] of queues.entries()) {
    for (const id of stalled[index] ?? []) queue.emit('stalled', id);
  }
}

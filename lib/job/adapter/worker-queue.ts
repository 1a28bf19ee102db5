import { isNoScript } from '../redis/redis-script';
import type { BeeConnection } from './bee-connection';
import { type BeeClient, BeeQueue, type BeeSettings, beeScripts } from './bee-queue';

/** The connections of one queue; the first two are shared by all queues of a process. */
export interface QueueConnections {
  readonly command: BeeConnection;
  readonly subscriber: BeeConnection;
  /** undefined: nothing waits for its next job. */
  readonly blocking: BeeConnection | undefined;
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

  get blocking(): BeeConnection | undefined {
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

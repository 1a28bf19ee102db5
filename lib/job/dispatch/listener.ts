import { randomBytes } from 'node:crypto';
import net from 'node:net';
import type { Client } from 'pg';
import { TABLES } from '../../core/config';
import { withTlsAdvice } from '../../core/tls';
import { pg } from '../../internals/pg';
import { type ConnectionSettings, connectionSettings } from '../../model/database';
import { Backoff } from '../../support/backoff';
import { Progress } from '../../support/progress';
import { toError } from '../../support/to-error';

/** Interval of the queries that check a connection on which notifications do not arrive (yet), ms. */
const KEEP_ALIVE_MS = 30_000;
/** Interval of these queries if notifications arrive, ms. TCP detects a dead connection, without a query to Postgres. */
const NOTIFIED_KEEP_ALIVE_MS = 900_000;
const TCP_KEEP_ALIVE_MS = 30_000;

/** How long a notification that this process sends to itself may take, ms. */
const ECHO_MS = 5000;
interface ListenerOptions {
  readonly url: string;
  readonly production: boolean;
  readonly echoMs?: number | undefined;
  /** Notifies this listener on `TABLES.echoChannel`. */
  readonly sendEcho: (token: string) => Promise<void>;
  /** Called with false when notifications do not arrive, and with true when they do again. */
  readonly onNotifications: (isNotified: boolean) => void;
  /**
   * Called with a notification's payload, and without one after each connection: jobs may have been committed before.
   */
  readonly onNotice: (notice?: string) => void;
  readonly onLeader: (message: string) => void;
  readonly onLost: () => void;
  /** Called for the first failure in a row only. */
  readonly onError: (error: Error) => void;
}

/**
 * LISTENs on a connection of its own, and connects again whenever that is lost. Two faults come without an error:
 * - A pooler in transaction mode accepts LISTEN and then gives the server connection to others, so nothing ever arrives. So
 *   each connection is tested with a notification to itself.
 * - A connection may fall silent later, as behind a router that has forgotten it. Then the messages of this process's own
 *   dispatcher do not arrive, and another connection is opened.
 */
export class JobListener {
  /** false: notifications do not arrive; null: not known yet. */
  isNotified: boolean | null = null;
  readonly progress = new Progress();
  private wereLost = false;
  /** The token of the echo that has not arrived. */
  private awaited: string | undefined;
  private client: Client | undefined;
  private socket: net.Socket | undefined;
  /** Time of the last notification, ms on the monotonic clock. */
  private heardAt = Number.NEGATIVE_INFINITY;
  /** Runs while a notification is awaited. */
  private expecting: NodeJS.Timeout | undefined;
  private timer: NodeJS.Timeout | undefined;
  private echoTimer: NodeJS.Timeout | undefined;
  private stopped = true;
  private readonly settings: ConnectionSettings;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(private readonly options: ListenerOptions) {
    this.settings = connectionSettings(options.url, options.production);
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    this.progress.due();
    void this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.clearTimers();
    const client = this.client;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const socket = new net.Socket();
    const client = new pg.Client({
      ...this.settings,
      stream: () => socket,
      query_timeout: 5000,
      keepAlive: true,
      keepAliveInitialDelayMillis: TCP_KEEP_ALIVE_MS,
    });
    this.client = client;
    this.socket = socket;
    // `error` and `end` may both come, in either order. `lost` handles only the first.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('Postgres ended the LISTEN connection')));
    client.on('notification', ({ channel, payload }) => {
      this.arrived();
      if (channel === TABLES.leaderChannel) this.options.onLeader(payload ?? '');
      else if (channel !== TABLES.echoChannel) this.options.onNotice(payload);
      else if (payload === this.awaited) this.heard(true);
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${TABLES.channel}; LISTEN ${TABLES.echoChannel}; LISTEN ${TABLES.leaderChannel}`);
      this.backoff.reset();
      this.progress.moved();
      this.options.onNotice();
      this.keepAlive(client);
      void this.testNotifications(client);
    } catch (thrown) {
      this.lost(client, toError(thrown));
    }
  }

  /** Call after sending a notification that must arrive here, too. @param sentAt a time before, ms, monotonic. */
  expectEcho(sentAt: number): void {
    const { client } = this;
    if (this.heardAt >= sentAt || this.isNotified !== true || !client || this.expecting) return;
    this.progress.due();
    const timer = setTimeout(() => {
      // Notifications that arrived while a job blocked the event loop are read first.
      setImmediate(() => {
        if (this.expecting !== timer) return;
        this.expecting = undefined;
        const silence =
          'no answer on the LISTEN connection: notifications have stopped arriving, so another one is opened';
        this.lost(client, new Error(silence));
      });
    }, this.options.echoMs ?? ECHO_MS);
    this.expecting = timer;
  }

  private arrived(): void {
    this.heardAt = performance.now();
    clearTimeout(this.expecting);
    this.expecting = undefined;
    this.progress.moved();
  }

  private clearTimers(): void {
    for (const timer of [this.timer, this.echoTimer, this.expecting]) clearTimeout(timer);
    this.expecting = undefined;
  }

  private keepAlive(client: Client): void {
    if (this.client !== client) return;
    const everyMs = this.isNotified === true ? NOTIFIED_KEEP_ALIVE_MS : KEEP_ALIVE_MS;
    this.timer = setTimeout(() => {
      client.query('select 1').then(
        () => {
          this.keepAlive(client);
          if (this.isNotified !== true) void this.testNotifications(client);
        },
        (error: unknown) => this.lost(client, toError(error)),
      );
    }, everyMs);
  }

  private async testNotifications(client: Client): Promise<void> {
    const token = randomBytes(6).toString('hex');
    this.awaited = token;
    try {
      await this.options.sendEcho(token);
    } catch {
      // The pool has no connection, which says nothing about this one: the next keep-alive tests it.
      return;
    }
    if (this.client !== client || this.awaited !== token) return;
    clearTimeout(this.echoTimer);
    this.echoTimer = setTimeout(() => this.heard(false), this.options.echoMs ?? ECHO_MS);
  }

  private heard(isNotified: boolean): void {
    clearTimeout(this.echoTimer);
    if (isNotified) this.awaited = undefined;
    this.isNotified = isNotified;
    if (isNotified === !this.wereLost) return;
    this.wereLost = !isNotified;
    this.options.onNotifications(isNotified);
  }

  private lost(client: Client, error: Error): void {
    if (this.client !== client) return;
    this.client = undefined;
    this.awaited = undefined;
    this.isNotified = null;
    this.progress.failed(error);
    this.clearTimers();
    // Otherwise a silent connection would stay open: the other side never ends it.
    this.socket?.destroy();
    if (this.backoff.attempts === 0) this.options.onError(withTlsAdvice(error, 'Postgres'));
    this.options.onLost();
    this.timer = setTimeout(() => void this.connect(), this.backoff.next());
  }
}

import type { Client } from 'pg';
import { toError } from '../../core/errors';
import { withTlsAdvice } from '../../core/tls-advice';
import { type ConnectionSettings, connectionSettings } from '../../model/database';
import { pg } from '../../model/pg-driver';
import { Backoff } from '../../support/backoff';
import { CHANNEL } from './outbox';

/** How often an idle connection is asked whether it still lives, ms: a lost one says nothing by itself. */
const PULSE_MS = 30_000;

export interface ListenerOptions {
  readonly url: string;
  readonly production: boolean;
  /** A row was committed, or may have been while there was no connection; `notice` is what the note says, if it came. */
  readonly onNotice: (notice?: string) => void;
  /** Told of the first failure in a row only. */
  readonly onError: (error: Error) => void;
}

/** LISTENs on a connection of its own, for as long as it is started, through any number of lost ones. */
export class OutboxListener {
  private client: Client | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopped = true;
  private readonly settings: ConnectionSettings;
  private readonly backoff = new Backoff({ base: 100, max: 5000 });

  constructor(private readonly options: ListenerOptions) {
    this.settings = connectionSettings(options.url, options.production);
  }

  start(): void {
    if (!this.stopped) return;
    this.stopped = false;
    void this.connect();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    await client?.end().catch(() => undefined);
  }

  private async connect(): Promise<void> {
    const client = new pg.Client({ ...this.settings, query_timeout: 5000 });
    this.client = client;
    // Both may come, and after the other: `lost` counts the first only.
    client.on('error', (error) => this.lost(client, error));
    client.on('end', () => this.lost(client, new Error('Postgres ended the LISTEN connection')));
    client.on('notification', ({ payload }) => this.options.onNotice(payload));
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.backoff.reset();
      this.options.onNotice();
      this.pulse(client);
    } catch (thrown) {
      this.lost(client, toError(thrown));
    }
  }

  private pulse(client: Client): void {
    if (this.client !== client) return;
    this.timer = setTimeout(() => {
      client.query('select 1').then(
        () => this.pulse(client),
        (error: unknown) => this.lost(client, toError(error)),
      );
    }, PULSE_MS);
  }

  private lost(client: Client, error: Error): void {
    if (this.client !== client) return;
    this.client = undefined;
    clearTimeout(this.timer);
    client.end().catch(() => undefined);
    if (this.backoff.attempts === 0) this.options.onError(withTlsAdvice(error, 'Postgres'));
    this.timer = setTimeout(() => void this.connect(), this.backoff.next());
  }
}

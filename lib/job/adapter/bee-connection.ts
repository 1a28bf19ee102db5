import { redisTls, withoutTlsMode } from '../../core/redis';
import { withTlsAdvice } from '../../core/tls-advice';
import { deferred } from '../../support/deferred';
import { type BeeClient, createBeeClient } from './bee-queue';

const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;
const LONGEST_RETRY_MS = 2000;

export interface BeeConnectionOptions {
  readonly url: string;
  /** A reply that takes longer than this means that the connection is dead, ms. */
  readonly patienceMs: number;
  /** Connected, for the first time or again. */
  readonly onReady: () => void;
  readonly onError: (error: Error) => void;
}

/**
 * One connection through bee-queue's node_redis 3 that never gives up: it waits quietly for a Redis that is away, at
 * boot too, and cuts itself off from one that takes commands and does not answer.
 */
export class BeeConnection {
  readonly client: BeeClient;
  /** Resolves at the first connection. */
  readonly firstReady = deferred();
  private pending = 0;
  private progressAt = performance.now();
  private retryMs = 50;

  constructor(private readonly options: BeeConnectionOptions) {
    const { url, onReady, onError } = options;
    const tls = redisTls(url);
    const client: BeeClient = createBeeClient({
      url: withoutTlsMode(url),
      ...('tls' in tls && { tls: { rejectUnauthorized: tls.rejectUnauthorized } }),
      connect_timeout: CONNECT_TIMEOUT_MS,
      socket_initial_delay: KEEP_ALIVE_MS,
      retry_strategy: () => {
        client.retry_totaltime = 0;
        this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
        return this.retryMs;
      },
    });
    this.client = client;
    // Each queue listens.
    client.setMaxListeners(0);
    client.on('error', (error: Error) => onError(withTlsAdvice(error, 'Redis')));
    client.on('connect', () => {
      this.progressAt = performance.now();
    });
    client.on('ready', () => {
      this.retryMs = 50;
      this.firstReady.resolve();
      onReady();
    });
  }

  get ready(): boolean {
    return this.client.ready;
  }

  /** @throws the client's error; when the connection was lost the command may have run. */
  send(command: string, args: readonly (string | number)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.pending++ === 0) this.progressAt = performance.now();
      this.client.send_command(command, args, (error, reply) => {
        this.pending--;
        this.progressAt = performance.now();
        if (error) reject(error);
        else resolve(reply);
      });
    });
  }

  /** Hears a channel from now on, through reconnections. Makes this a connection for subscriptions only. */
  subscribe(channel: string, onMessage: (message: string) => void): void {
    const { client, options } = this;
    client.on('message', (heard: string, message: string) => {
      if (heard === channel) onMessage(message);
    });
    const ask = () =>
      client.subscribe(channel, (error) => {
        if (!error || client.closing) return;
        // Redis was lost before it had this, and node_redis repeats only what Redis has had.
        client.once('ready', ask);
        if (error.name !== 'AbortError') options.onError(error);
      });
    ask();
  }

  /** Cuts a connection that has been silent for too long; node_redis makes a new one. To be called now and then. */
  checkPulse(): void {
    const { client } = this;
    const expecting = client.ready ? this.pending > 0 : client.connected;
    if (!expecting || performance.now() - this.progressAt < this.options.patienceMs) return;
    this.progressAt = performance.now();
    client.stream.destroy();
  }

  end(): void {
    this.client.end(true);
  }
}

import { setTimeout as wait } from 'node:timers/promises';
import { toError } from '../core/errors';
import type { Events } from '../core/events';
import { Backoff } from '../support/backoff';
import type { EmbeddedServer, RunningServer } from './embedded-server';

/** How often a server is looked at. One that was adopted is no child of ours, whose end we would be told. */
const EVERY_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/** Starts a server that ended by itself again, on the port that the whole tree knows, until told to stop. */
export class Revival {
  private readonly stopping = new AbortController();
  private readonly watching: Promise<void>;

  constructor(
    private readonly server: EmbeddedServer,
    private running: RunningServer,
    private readonly events: Events,
    /** Starts it on a port. */
    private readonly restart: (port: number) => Promise<RunningServer>,
  ) {
    this.watching = this.watch();
  }

  /** @returns the server as it runs now; or did, if it is down and cannot be started. */
  async end(): Promise<RunningServer> {
    this.stopping.abort();
    await this.watching;
    return this.running;
  }

  private async watch(): Promise<void> {
    const backoff = new Backoff({ base: EVERY_MS, max: LONGEST_WAIT_MS });
    while (await this.pause(backoff.attempts === 0 ? EVERY_MS : backoff.next())) {
      if (!this.running.process.gone()) continue;
      const { name } = this.server;
      if (backoff.attempts === 0) this.events.emit('embedded.lost', { server: name, pid: this.running.process.pid });
      try {
        this.running = await this.restart(this.running.port);
        backoff.reset();
      } catch (error) {
        backoff.next();
        this.events.emit('process.error', { error: toError(error), during: `starting embedded ${name} again` });
      }
    }
  }

  /** @returns false when it is time to stop. */
  private async pause(ms: number): Promise<boolean> {
    await wait(ms, undefined, { ref: false, signal: this.stopping.signal }).catch(() => undefined);
    return !this.stopping.signal.aborted;
  }
}

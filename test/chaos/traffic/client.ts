import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Ledger } from '../ledger/ledger';
import { exchange, type Outcome, type Sent } from './exchange';

const REFUSED_MS = 100;

export interface ClientOptions {
  readonly baseUrl: string;
  readonly ledger: Ledger;
  /** Pause between two requests, ms. */
  readonly pauseMs: number;
  readonly keepAlive: boolean;
}

/** Somebody who asks for one thing after the other, and has the ledger know of each. */
export abstract class Client {
  private readonly agent: http.Agent;
  private stopping = false;
  private loop: Promise<void> = Promise.resolve();

  constructor(protected readonly options: ClientOptions) {
    this.agent = new http.Agent({ keepAlive: options.keepAlive, maxSockets: 1 });
  }

  start(): void {
    this.loop = this.run();
  }

  /** Resolves when its last request has ended. */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.loop;
    this.agent.destroy();
  }

  /** Asks for something, once. */
  protected abstract ask(): Promise<void>;

  /**
   * Tries again only where nobody took the connection: nothing was sent then.
   * @returns undefined when it stops before anybody is there.
   */
  protected async send(what: string, path: string, sent: Omit<Sent, 'url'>): Promise<Outcome | undefined> {
    const { baseUrl, ledger } = this.options;
    while (!this.stopping) {
      const from = performance.now();
      const outcome = await exchange(this.agent, { ...sent, url: baseUrl + path });
      if ('error' in outcome && outcome.error === 'ECONNREFUSED') {
        ledger.refused++;
        await wait(REFUSED_MS);
        continue;
      }
      ledger.record(what, outcome, from);
      return outcome;
    }
    return undefined;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      await this.ask();
      await wait(this.options.pauseMs);
    }
  }
}

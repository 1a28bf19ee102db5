import type { Ledger } from '../ledger/ledger';
import type { Client, ClientOptions } from './client';
import { ChoreClient, ReaderClient, SignUpClient, SlowClient } from './clients';

/** Each of them asks a few times a second: a load that leaves a small machine room for what is done to it. */
const PAUSE_MS = 400;
const SIGN_UPS = 4;
const READERS = 2;
const CHORES = 2;
const SLOW = 2;

/** People who use the tree all the time, whatever happens to it. */
export class Traffic {
  private readonly clients: readonly Client[];
  /** Asks when it is told to. */
  readonly signUps: SignUpClient;
  readonly chores: ChoreClient;

  constructor(baseUrl: string, ledger: Ledger) {
    const options = (keepAlive: boolean): ClientOptions => ({ baseUrl, ledger, pauseMs: PAUSE_MS, keepAlive });
    const some = <C extends Client>(many: number, Kind: new (options: ClientOptions) => C) =>
      // Half of the connections are kept alive, half are fresh for each request.
      Array.from({ length: many }, (_, n) => new Kind(options(n % 2 === 0)));
    this.clients = [
      ...some(SIGN_UPS, SignUpClient),
      ...some(READERS, ReaderClient),
      ...some(CHORES, ChoreClient),
      ...some(SLOW, SlowClient),
    ];
    this.signUps = new SignUpClient(options(false));
    this.chores = new ChoreClient(options(false));
  }

  start(): void {
    for (const client of this.clients) client.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.clients, this.signUps, this.chores].map((client) => client.stop()));
  }
}

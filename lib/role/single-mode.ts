import type { Operations, WorkerStatus } from '../cluster/status';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { OutOfBandGc } from '../internals/gc';
import type { Deadline } from '../support/async';
import type { AppDefinition } from './app-definition';
import { WebRole } from './web';

/** How long a stopping process goes on accepting, ms, until the router in front has stopped sending. */
const POLITE_MS = 1500;
const INFO_INTERVAL_MS = 1000;

/** WEB_CONCURRENCY=0: the primary serves the web itself. */
export class SingleModeWeb implements WebServerRole {
  private readonly web: WebRole;
  private timer: NodeJS.Timeout | undefined;

  /** @param onBeat told of itself once a second, as a worker tells the primary. */
  constructor(
    app: AppDefinition,
    config: Config,
    events: Events,
    tree: Operations,
    private readonly onBeat: (status: WorkerStatus) => void,
  ) {
    this.web = new WebRole(app, config, events, tree);
  }

  async start(onListening?: (address: string) => void): Promise<string> {
    const address = await this.web.start();
    onListening?.(address);
    const collector = new OutOfBandGc();
    const beat = () => {
      const status = this.web.status();
      this.onBeat(status);
      collector.tick(status.busyThreads, status.requestsCount);
    };
    beat();
    this.timer ??= setInterval(beat, INFO_INTERVAL_MS);
    this.web.setReporter(true);
    return address;
  }

  async stop(deadline: Deadline): Promise<number> {
    await this.web.enterLameDuck(Math.min(POLITE_MS, deadline.remaining() / 4));
    await this.web.drain(deadline.minus(1000));
    clearInterval(this.timer);
    return 0;
  }
}

/** The part of the tree that serves HTTP, whatever it is made of. */
export interface WebServerRole {
  /**
   * @param onListening told the address in use as soon as it is had: before any process is forked.
   * @returns that address, once all of it serves. @throws UserError when it cannot.
   */
  start(onListening?: (address: string) => void): Promise<string>;
  /** @returns how many processes had to be killed. */
  stop(deadline: Deadline): Promise<number>;
}

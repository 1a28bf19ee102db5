import type { Operations, WorkerStatus } from '../cluster/status';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { OutOfBandCollector } from '../internals/gc';
import type { Deadline } from '../support/async';
import type { AppDefinition } from './app-definition';
import { WebProcess } from './web';

/** How long a stopping process goes on accepting, ms, until the router in front has stopped sending. */
const POLITE_MS = 1500;
const BEAT_MS = 1000;

/** WEB_CONCURRENCY=0: the primary serves the web itself. */
export class SingleWeb implements WebSide {
  private readonly web: WebProcess;
  private timer: NodeJS.Timeout | undefined;

  /** @param onBeat told of itself once a second, as a worker tells the primary. */
  constructor(
    app: AppDefinition,
    config: Config,
    events: Events,
    tree: Operations,
    private readonly onBeat: (status: WorkerStatus) => void,
  ) {
    this.web = new WebProcess(app, config, events, tree);
  }

  async start(onListening?: (address: string) => void): Promise<string> {
    const address = await this.web.start();
    onListening?.(address);
    const collector = new OutOfBandCollector();
    const beat = () => {
      const status = this.web.status();
      this.onBeat(status);
      collector.look(status.busy_threads, status.requests_count);
    };
    beat();
    this.timer ??= setInterval(beat, BEAT_MS);
    this.web.appointScribe(true);
    return address;
  }

  async stop(deadline: Deadline): Promise<number> {
    await this.web.becomePolite(Math.min(POLITE_MS, deadline.remaining() / 4));
    await this.web.drain(deadline.earlier(1000));
    clearInterval(this.timer);
    return 0;
  }
}

/** The part of the tree that serves HTTP, whatever it is made of. */
export interface WebSide {
  /**
   * @param onListening told the address in use as soon as it is had: before any process is forked.
   * @returns that address, once all of it serves. @throws UserError when it cannot.
   */
  start(onListening?: (address: string) => void): Promise<string>;
  /** @returns how many processes had to be killed. */
  stop(deadline: Deadline): Promise<number>;
}

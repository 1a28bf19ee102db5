import type { Operations, WorkerStatus } from '../cluster/status';
import type { Config } from '../core/config';
import type { Events } from '../core/events';
import { type StopOutcome, stopPhase } from '../core/shutdown';
import { OutOfBandGc } from '../internals/gc';
import type { Deadline } from '../support/async';
import type { AppDefinition } from './app-definition';
import { WebRole } from './web';

const INFO_INTERVAL_MS = 1000;

/** Single mode (WEB_CONCURRENCY=0): the primary serves the web itself. */
export class SingleModeWeb implements WebServerRole {
  private readonly web: WebRole;
  private timer: NodeJS.Timeout | undefined;

  /** @param onBeat gets the status every second, in place of a worker's heartbeats. */
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

  async stop(deadline: Deadline): Promise<StopOutcome> {
    await this.web.enterLameDuck(stopPhase(deadline, 'lameDuck').remaining());
    const cut = await this.web.drain(stopPhase(deadline, 'drain'));
    clearInterval(this.timer);
    return { killed: 0, failed: cut > 0 ? 1 : 0 };
  }
}

/** The part of the tree that serves HTTP: a pool of workers, or the primary itself. */
export interface WebServerRole {
  /**
   * @param onListening gets the address in use before any process is forked.
   * @returns that address once everything serves. @throws UserError when it cannot.
   */
  start(onListening?: (address: string) => void): Promise<string>;
  stop(deadline: Deadline): Promise<StopOutcome>;
}

import type { Carrier } from '../../broadcast/broadcast';
import { HEARTBEAT_INTERVAL_MS } from '../../cluster/messages';
import type { StopOutcome } from '../../cluster/primary/child-handle';
import type { JobsHealth, Tree, WorkerStatus } from '../../cluster/status';
import type { Config } from '../../core/config';
import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { STOP_PHASES } from '../../core/shutdown';
import { OutOfBandGc } from '../../internals/gc';
import type { Deadline } from '../../support/async';
import { PeriodicTask } from '../../support/periodic-task';
import type { AppDefinition } from '../app/app-definition';
import { WebRole } from './web';

/** Single mode (WEB_CONCURRENCY=0): the primary serves the web itself. */
export class SingleModeWeb implements WebServerRole {
  private readonly web: WebRole;
  private readonly heartbeat: PeriodicTask;
  private stopping = false;

  /** @param siblings the tree's other processes. @param onHeartbeat gets the status every second, in place of a worker's heartbeats. */
  constructor(
    app: AppDefinition,
    config: Config,
    events: Events,
    tree: Tree,
    siblings: Carrier,
    onHeartbeat: (status: WorkerStatus) => void,
  ) {
    const web = new WebRole(app, config, events, tree, siblings);
    const collector = new OutOfBandGc();
    this.web = web;
    this.heartbeat = new PeriodicTask({
      everyMs: HEARTBEAT_INTERVAL_MS,
      work: async () => {
        const status = web.status();
        onHeartbeat(status);
        collector.tick(status.busyThreads, status.requestsCount);
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'reporting the status' }),
    });
  }

  async start(onListening?: (address: string) => void, permission?: Promise<void>): Promise<string> {
    await permission;
    if (this.stopping) throw new UserError('Catamount cannot start: it was stopped before it listened.');
    const address = await this.web.start();
    onListening?.(address);
    this.heartbeat.start();
    this.web.setReporter(true);
    return address;
  }

  setJobsHealth(change: Partial<JobsHealth>): void {
    this.web.setJobsHealth(change);
  }

  async stop(deadline: Deadline): Promise<StopOutcome> {
    this.stopping = true;
    await this.web.enterLameDuck(deadline.part(STOP_PHASES.lameDuck).remaining());
    const aborted = await this.web.drain(deadline.part(STOP_PHASES.drain));
    await this.heartbeat.stop();
    return { killed: 0, failed: aborted > 0 ? 1 : 0 };
  }
}

/** The part of the tree that serves HTTP: a pool of workers, or the primary itself. */
export interface WebServerRole {
  /**
   * @param onListening gets the address in use before any process is forked. @param permission nothing is served until
   * it resolves.
   * @returns that address once everything serves. @throws UserError when it cannot.
   */
  start(onListening?: (address: string) => void, permission?: Promise<void>): Promise<string>;
  /** Passes the state of the tree's jobs to its processes. */
  setJobsHealth(change: Partial<JobsHealth>): void;
  stop(deadline: Deadline): Promise<StopOutcome>;
}

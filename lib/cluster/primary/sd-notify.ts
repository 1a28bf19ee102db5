import { takeVariables } from '../../core/config';
import type { Events } from '../../core/events';
import { PeriodicTask } from '../../support/periodic-task';
import { toError } from '../../support/to-error';
import { runTool } from '../child-process';

/** Systemd's own program, since Node has no datagram sockets of Unix. */
const TOOL = 'systemd-notify';
/** Longest time until a change of the status is told, ms. */
const STATUS_MS = 10_000;

/**
 * Tells systemd, or whoever has set NOTIFY_SOCKET, how the tree is: `sd_notify(3)`. Each message is sent by a short process, so
 * that the unit needs `NotifyAccess=all`. The main process stays the same in a hot restart.
 */
export class SdNotify {
  private readonly variables = takeVariables(['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']);
  private readonly beats: PeriodicTask;
  private sent: Promise<void> = Promise.resolve();
  private lastStatus = '';
  private stopping = false;
  private failed = false;

  /**
   * @param status one line for people.
   * @param isLater true in a primary that another one has started: the watchdog is meant for the first.
   */
  constructor(
    private readonly status: () => string,
    private readonly events: Events,
    isLater: boolean,
  ) {
    const { WATCHDOG_USEC: limit, WATCHDOG_PID: pid = String(process.pid) } = this.variables;
    const isOurs = isLater || pid === String(process.pid);
    const watchdogMs = isOurs ? Number(limit ?? 0) / 1000 : 0;
    this.beats = new PeriodicTask({
      everyMs: watchdogMs > 0 ? Math.min(STATUS_MS, watchdogMs / 2) : STATUS_MS,
      work: () => this.beat(watchdogMs > 0 ? ['WATCHDOG=1'] : []),
      onError: (error) => events.emit('process.error', { error, during: `telling ${TOOL}` }),
    });
    for (const name of ['phase.started', 'primary.restarting'] as const) events.on(name, () => this.reloading());
    for (const name of ['phase.completed', 'phase.aborted', 'primary.restarted', 'primary.kept'] as const)
      events.on(name, () => void this.tell('READY=1'));
  }

  ready(): void {
    void this.tell('READY=1');
    this.beats.start();
  }

  /** Another primary serves, and reports from now on. */
  retire(): void {
    void this.beats.stop();
  }

  stop(): void {
    void this.beats.stop();
    void this.tell('STOPPING=1');
    this.stopping = true;
  }

  private reloading(): void {
    // The clock of `performance` begins with the process, this one with the machine.
    void this.tell('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  private async beat(lines: string[]): Promise<undefined> {
    const status = this.status();
    if (status !== this.lastStatus) lines.push(`STATUS=${status}`);
    this.lastStatus = status;
    if (lines.length > 0) await this.tell(...lines);
  }

  /** Messages keep their order. */
  private tell(...lines: readonly string[]): Promise<void> {
    if (this.stopping) return this.sent;
    const { NOTIFY_SOCKET } = this.variables;
    this.sent = this.sent
      .then(() => runTool(TOOL, lines, { NOTIFY_SOCKET }))
      .then(
        () => {
          this.failed = false;
        },
        (thrown: unknown) => {
          const message = `NOTIFY_SOCKET is set, but ${TOOL} failed with ${lines.join(' ')}: ${toError(thrown).message}`;
          if (!this.failed) this.events.emit('process.warning', { message });
          this.failed = true;
        },
      );
    return this.sent;
  }
}

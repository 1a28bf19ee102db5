import type { Events } from '../core/events';
import type { Deadline } from '../support/deadline';
import { type Deferred, deferred } from '../support/deferred';
import { type ChildProcess, forkEntry } from './child-process';
import { type FromProcessor, isOurs, type ToProcessor } from './messages';
import { Respawn, type RespawnOptions } from './respawn';

export const PROCESSOR_ROLE = 'processor';

/** Keeps exactly one job processor alive, as a child of the primary. Its death never touches the web. */
export class Processor {
  private child: ChildProcess | undefined;
  private exited: Deferred | undefined;
  private forkedAt = 0;
  private stopping = false;
  private readonly respawn: Respawn;

  constructor(
    private readonly events: Events,
    respawn: RespawnOptions = {},
  ) {
    this.respawn = new Respawn(respawn);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  start(): void {
    if (!this.child && !this.stopping) this.fork();
  }

  /** @returns how many processes had to be killed (0 or 1). */
  async stop(deadline: Deadline): Promise<number> {
    this.stopping = true;
    this.respawn.cancel();
    const { child, exited } = this;
    if (!child || !exited) return 0;
    this.tell(child, { catamount: 'stop', remainingMs: deadline.earlier(1000).remaining() });
    if ((await deadline.wait(exited.promise)) === 'done') return 0;
    child.kill('SIGKILL');
    this.events.emit('child.killed', { child: 'job processor', pid: child.pid ?? 0, reason: 'the deadline is over' });
    await exited.promise;
    return 1;
  }

  private fork(): void {
    const child = forkEntry(PROCESSOR_ROLE);
    const pid = child.pid ?? 0;
    this.child = child;
    this.exited = deferred();
    this.forkedAt = performance.now();
    this.events.emit('processor.forked', { pid });
    child.on('message', (message: unknown) => {
      if (!isOurs<FromProcessor>(message)) return;
      const durationMs = Math.round(performance.now() - this.forkedAt);
      if (message.catamount === 'ready') this.events.emit('processor.ready', { pid, durationMs });
    });
    child.once('error', (error) => this.events.emit('process.error', { error, during: 'starting the job processor' }));
    child.once('exit', (code, signal) => this.onExit(pid, code, signal));
  }

  private onExit(pid: number, code: number | null, signal: string | null): void {
    this.child = undefined;
    this.exited?.resolve();
    this.events.emit('processor.exited', { pid, code, signal, expected: this.stopping });
    if (this.stopping) return;
    const wait = this.respawn.schedule(performance.now() - this.forkedAt, () => this.fork());
    this.events.emit('processor.respawn', wait);
  }

  private tell(child: ChildProcess, message: ToProcessor): void {
    if (child.connected) child.send(message);
  }
}

import type { Events } from '../core/events';
import { Deadline } from '../support/deadline';
import type { EmbeddedServer, RunningServer } from './embedded-server';
import type { Keeper } from './keeper';
import { Revival } from './revival';
import { stopServer } from './stop-server';

/** For stopping a server that a killed run left here and that this one does not need, or not as it is. */
const UNNEEDED_MS = 10_000;

/** One server in this process's care, from its start or adoption to its end. */
export class OwnedServer {
  private revival: Revival | undefined;

  constructor(
    private readonly server: EmbeddedServer,
    private readonly keeper: Keeper,
    private readonly events: Events,
  ) {}

  /** @returns its URL. */
  async start(): Promise<string> {
    const running = await this.timed(async () => (await this.adopt()) ?? (await this.server.start(this.watch)));
    this.revival = new Revival(this.server, running, this.events, (port) =>
      this.timed(() => this.server.start(this.watch, port)),
    );
    return this.server.url(running.port);
  }

  /** When this process has its own elsewhere. */
  async stopUnneeded(): Promise<void> {
    const found = await this.find();
    if (found) await stopServer(this.server, found, Deadline.after(UNNEEDED_MS));
  }

  /** What hangs past the deadline is left to the keeper. */
  async stop(deadline: Deadline): Promise<void> {
    if (!this.revival) return;
    const ending = this.revival.end();
    if ((await deadline.wait(ending)) === 'late') return;
    const running = await ending;
    await stopServer(this.server, running, deadline);
    this.events.emit('embedded.stopped', { server: this.server.name, pid: running.process.pid });
  }

  private readonly watch = (pid: number) => this.keeper.watch(pid, this.server.stopSignal, this.server.mark);

  private async adopt(): Promise<RunningServer | undefined> {
    const found = await this.find();
    if (!found || this.server.hasPassword()) return found;
    await stopServer(this.server, found, Deadline.after(UNNEEDED_MS));
    return undefined;
  }

  private async find(): Promise<RunningServer | undefined> {
    const found = await this.server.find();
    if (found) this.watch(found.process.pid);
    return found;
  }

  private async timed(start: () => Promise<RunningServer>): Promise<RunningServer> {
    const begun = performance.now();
    const running = await start();
    this.events.emit('embedded.started', {
      server: this.server.name,
      pid: running.process.pid,
      adopted: running.adopted,
      durationMs: Math.round(performance.now() - begun),
    });
    return running;
  }
}

import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { stopPhase } from '../core/shutdown';
import { Backoff, Deadline, toError } from '../support/async';
import type { EmbeddedServer, RunningServer } from './embedded-servers';
import type { Keeper } from './folder-claim';
import { type Command, hasArgument, launch, type ServerProcess } from './server-process';

/** Limit for stopping a server that a killed run left here and that this run does not need or must restart, ms. */
const UNNEEDED_MS = 10_000;

/** A server that this process manages, from its start or adoption to its end. */
export class OwnedServer {
  private revival: Revival | undefined;

  constructor(
    private readonly server: EmbeddedServer,
    private readonly keeper: Keeper,
    private readonly events: Events,
  ) {}

  /** Adopts the server of a killed run, or starts one. @returns its URL. */
  async start(): Promise<string> {
    const running = await this.timed(async () => (await this.adopt()) ?? (await this.server.start(this.watch)));
    this.revival = new Revival(this.server, running, this.events, (port) =>
      this.timed(() => this.server.start(this.watch, port)),
    );
    return this.server.url(running.port);
  }

  /** Stops a server of a killed run when this process uses another elsewhere. */
  async stopUnneeded(): Promise<void> {
    const found = await this.find();
    if (found) await stopServer(this.server, found, Deadline.after(UNNEEDED_MS));
  }

  /** Stops the server. One that still runs after the deadline is left to the keeper. */
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

/** Interval of checks for the server's end, ms. An adopted server is no child of ours, so no event reports its end. */
const EVERY_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/** Restarts a server that has exited by itself, on the same port, which the whole tree uses, until `end()`. */
export class Revival {
  private readonly stopping = new AbortController();
  private readonly watching: Promise<void>;

  constructor(
    private readonly server: EmbeddedServer,
    private running: RunningServer,
    private readonly events: Events,
    /** Starts the server on a port. */
    private readonly restart: (port: number) => Promise<RunningServer>,
  ) {
    this.watching = this.watch();
  }

  /** Stops the watch. @returns the server in its last known state; it is gone if it could not be restarted. */
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
      if (backoff.attempts === 0) this.events.emit('embedded.exited', { server: name, pid: this.running.process.pid });
      try {
        this.running = await this.restart(this.running.port);
        backoff.reset();
      } catch (error) {
        backoff.next();
        this.events.emit('process.error', { error: toError(error), during: `starting embedded ${name} again` });
      }
    }
  }

  /** @returns false when the watch is to stop. */
  private async pause(ms: number): Promise<boolean> {
    await wait(ms, undefined, { ref: false, signal: this.stopping.signal }).catch(() => undefined);
    return !this.stopping.signal.aborted;
  }
}

const START_MS = 20_000;
/** Maximum size of a log from former runs, and length of the part that the error of a failed start shows, in bytes. */
const LOG_KEPT = 1_000_000;
const LOG_SHOWN = 1500;

export interface StartOptions {
  readonly name: string;
  readonly command: Command;
  readonly logFile: string;
  /** The environment variable that names another server, for error messages. */
  readonly variable: string;
  readonly onPid: (pid: number) => void;
  readonly ready: () => boolean | Promise<boolean>;
}

/**
 * Starts a server and waits until it is ready. @throws UserError when it cannot be run; StartError with the end of its
 * log when it does not become ready.
 */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  const { name, command, logFile, variable, onPid, ready } = options;
  if (fs.existsSync(logFile) && fs.statSync(logFile).size > LOG_KEPT) fs.truncateSync(logFile);
  const instead = `Or set ${variable} to a ${name} of your own.`;
  const server = await launch(command, logFile, onPid).catch((thrown: unknown) => {
    throw new UserError(`Cannot run the embedded ${name}: ${toError(thrown).message}. ${instead}`);
  });
  const settled = await poll(async () => server.gone() || (await ready()), Deadline.after(START_MS));
  if (settled && !server.gone()) return server;
  if (!settled) process.kill(server.pid, 'SIGKILL');
  const what = settled ? server.ending() : `was not ready after ${START_MS / 1000} s`;
  const log = fs.readFileSync(logFile, 'utf8').slice(-LOG_SHOWN).trim();
  throw new StartError(`The embedded ${name} ${what}. Its log, ${logFile}, ends with:\n${log}\n${instead}`, log);
}

export class StartError extends UserError {
  constructor(
    message: string,
    readonly log: string,
  ) {
    super(message);
  }
}

/** Asks a server to stop and waits until it has; ends it by force shortly before the deadline. */
export async function stopServer(
  server: EmbeddedServer,
  { process: target }: RunningServer,
  deadline: Deadline,
): Promise<void> {
  // An adopted server is not our child: it may have ended unnoticed, and its pid may be another process's.
  if (target.gone() || !(await hasArgument(target.pid, server.mark))) return;
  signal(target.pid, `SIG${server.stopSignal}`);
  if (await poll(target.gone, stopPhase(deadline, 'embeddedOrderly'))) return;
  signal(target.pid, 'SIGKILL');
  await poll(target.gone, deadline);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has already ended.
  }
}

/** Checks the condition every few milliseconds until it holds. @returns false when the deadline passed first. */
export async function poll(condition: () => boolean | Promise<boolean>, deadline: Deadline): Promise<boolean> {
  while (!(await condition())) {
    if (deadline.expired) return false;
    await wait(Math.min(4, deadline.remaining()));
  }
  return true;
}

import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { STOP_PHASES } from '../core/shutdown';
import { Backoff, Deadline, toError } from '../support/async';
import type { EmbeddedServer, RunningServer } from './embedded-servers';
import type { Keeper } from './folder-lock';
import { type Command, hasArgument, launch, type ServerProcess } from './server-process';

/** Timeout for stopping a server of a killed run that this run does not need, or must restart, ms. */
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
    const running = await this.timed(async () => (await this.reuse()) ?? (await this.server.start(this.watch)));
    this.revival = new Revival(this.server, running, this.events, (port) =>
      this.timed(() => this.server.start(this.watch, port)),
    );
    return this.server.url(running.port);
  }

  /** Stops the server of a killed run, if there is one, since this process uses another server. */
  async stopUnneeded(): Promise<void> {
    const found = await this.find();
    if (found) await stopServer(this.server, found, Deadline.after(UNNEEDED_MS));
  }

  /** Stops the server. If it is still running after the deadline, it is left to the keeper. */
  async stop(deadline: Deadline): Promise<void> {
    if (!this.revival) return;
    const ending = this.revival.end();
    if ((await deadline.wait(ending)) === 'late') return;
    const running = await ending;
    await stopServer(this.server, running, deadline);
    this.events.emit('embedded.stopped', { server: this.server.name, pid: running.process.pid });
  }

  private readonly watch = (pid: number) => this.keeper.watch(pid, this.server.stopSignal, this.server.mark);

  private async reuse(): Promise<RunningServer | undefined> {
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
      reused: running.reused,
      durationMs: Math.round(performance.now() - begun),
    });
    return running;
  }
}

/**
 * Interval of the checks whether the server runs, ms: a reused server is not our child, so no event reports its end.
 */
const CHECK_INTERVAL_MS = 500;
const MAX_BACKOFF_MS = 30_000;

/** Until `end()`, restarts a server that has exited by itself, on the same port, since the whole tree uses that. */
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
    const backoff = new Backoff({ base: CHECK_INTERVAL_MS, max: MAX_BACKOFF_MS });
    while (await this.pause(backoff.attempts === 0 ? CHECK_INTERVAL_MS : backoff.next())) {
      if (!this.running.process.gone()) continue;
      const { name } = this.server;
      if (backoff.attempts === 0) this.events.emit('embedded.exited', { server: name, pid: this.running.process.pid });
      try {
        this.running = await this.restart(this.running.port);
        backoff.reset();
      } catch (error) {
        backoff.next();
        this.events.emit('process.error', { error: toError(error), during: `restarting embedded ${name}` });
      }
    }
  }

  /** @returns false if the watch should stop. */
  private async pause(ms: number): Promise<boolean> {
    await wait(ms, undefined, { ref: false, signal: this.stopping.signal }).catch(() => undefined);
    return !this.stopping.signal.aborted;
  }
}

const START_TIMEOUT_MS = 20_000;
/** Size above which the log of previous runs is truncated, bytes. */
const MAX_LOG_BYTES = 1_000_000;
/** Length of the part of the log that the error of a failed start shows, characters. */
const MAX_SHOWN_LOG_LENGTH = 1500;

export interface StartOptions {
  readonly name: string;
  readonly command: Command;
  readonly logFile: string;
  /** The environment variable that would name another server, for error messages. */
  readonly variable: string;
  readonly onPid: (pid: number) => void;
  readonly ready: () => boolean | Promise<boolean>;
}

/**
 * Starts a server and waits until it is ready. @throws UserError if it cannot be run; StartError with the end of its
 * log if it does not become ready.
 */
export async function startServer(options: StartOptions): Promise<ServerProcess> {
  const { name, command, logFile, variable, onPid, ready } = options;
  if (fs.existsSync(logFile) && fs.statSync(logFile).size > MAX_LOG_BYTES) fs.truncateSync(logFile);
  const instead = `Or set ${variable} to a ${name} of your own.`;
  const server = await launch(command, logFile, onPid).catch((thrown: unknown) => {
    throw new UserError(`Cannot run the embedded ${name}: ${toError(thrown).message}. ${instead}`);
  });
  const settled = await poll(async () => server.gone() || (await ready()), Deadline.after(START_TIMEOUT_MS));
  if (settled && !server.gone()) return server;
  if (!settled) process.kill(server.pid, 'SIGKILL');
  const what = settled ? server.ending() : `was not ready after ${START_TIMEOUT_MS / 1000} s`;
  const log = fs.readFileSync(logFile, 'utf8').slice(-MAX_SHOWN_LOG_LENGTH).trim();
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

/** Asks a server to stop and waits until it has. Kills it shortly before the deadline. */
export async function stopServer(
  server: EmbeddedServer,
  { process: target }: RunningServer,
  deadline: Deadline,
): Promise<void> {
  // A reused server is not our child: it may have ended unnoticed, and its pid may be another process's.
  if (target.gone() || !(await hasArgument(target.pid, server.mark))) return;
  signal(target.pid, `SIG${server.stopSignal}`);
  if (await poll(target.gone, deadline.part(STOP_PHASES.embeddedOrderly))) return;
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

/** Checks the condition every few milliseconds until it holds. @returns false if the deadline has passed first. */
export async function poll(condition: () => boolean | Promise<boolean>, deadline: Deadline): Promise<boolean> {
  while (!(await condition())) {
    if (deadline.expired) return false;
    await wait(Math.min(4, deadline.remaining()));
  }
  return true;
}

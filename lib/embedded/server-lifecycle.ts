import fs from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { UserError } from '../core/errors';
import type { Events } from '../core/events';
import { STOP_PHASES } from '../core/shutdown';
import { Backoff } from '../support/backoff';
import { Deadline } from '../support/deadline';
import { toError } from '../support/to-error';
import type { Keeper } from './keeper';
import { type Command, freePort, hasArgument, isAlive, launch, type ServerProcess } from './server-process';

export interface EmbeddedServer {
  readonly name: 'postgres' | 'redis';
  /** For messages: `Postgres`. */
  readonly title: string;
  /** The setting that would name another server. */
  readonly variable: string;
  readonly folder: string;
  /** The signal of a fast but orderly shutdown. */
  readonly stopSignal: 'INT' | 'TERM';
  /** An argument of its command line that no other process has. */
  readonly mark: string;
  /** Transient errors in the log of a failed start: the next try may succeed. */
  readonly transient: RegExp;
  /** Contains the password, so it must not be logged. */
  url(port: number): string;
  /** The server that runs, or ran last; undefined: there is no record of it. */
  recorded(): Recorded | undefined;
  lastPort(): number | undefined;
  /** @returns the command for a port. @throws UserError if the server cannot be started. */
  prepare(): Promise<(port: number) => Command>;
  record(started: Recorded): void;
  /** true once it serves. */
  isReady(server: Recorded): Promise<boolean>;
}

export interface Recorded {
  readonly pid: number;
  readonly port: number;
}

interface RunningServer extends Recorded {
  readonly process: ServerProcess;
}

/** Time limit of a server that is starting or stopping, ms. */
const SETTLE_MS = 15_000;

/**
 * Finds the server that runs in its folder, and waits if it is starting or stopping.
 * @throws UserError if it runs but does not answer.
 */
export async function findServer(server: EmbeddedServer): Promise<Recorded | undefined> {
  const found = server.recorded();
  if (!found || !(await runs(server, found.pid))) return undefined;
  const { pid, port } = found;
  const settled = await poll(async () => !isAlive(pid) || (await server.isReady(found)), Deadline.after(SETTLE_MS));
  if (!isAlive(pid)) return undefined;
  if (settled) return found;
  throw new UserError(
    `The embedded ${server.title}, pid ${pid}, does not answer on port ${port}. ` +
      `If this persists, stop it (kill -${server.stopSignal} ${pid}), then start again.`,
  );
}

/** @returns false if the process has ended, although another one may have its pid now. */
async function runs(server: EmbeddedServer, pid: number): Promise<boolean> {
  return isAlive(pid) && (await hasArgument(pid, server.mark));
}

/** Timeout for stopping the server of a killed run, ms. */
const LEFT_OVER_MS = 10_000;

/** A server that this process runs: one that exits by itself is started again, on its port, since the whole tree uses that. */
export class OwnedServer {
  private running: RunningServer | undefined;
  private readonly stopping = new AbortController();
  private revival: Promise<void> = Promise.resolve();

  constructor(
    private readonly server: EmbeddedServer,
    private readonly keeper: Keeper,
    private readonly events: Events,
  ) {}

  async start(): Promise<string> {
    await this.stopLeftOver();
    return this.server.url((await this.run()).port);
  }

  async stopLeftOver(): Promise<void> {
    const pid = this.server.recorded()?.pid;
    if (pid !== undefined) await stopServer(this.server, pid, Deadline.after(LEFT_OVER_MS));
  }

  /** Stops the server, and kills it shortly before the deadline. */
  async stop(deadline: Deadline): Promise<void> {
    this.stopping.abort();
    if ((await deadline.wait(this.revival)) === 'late' || !this.running) return;
    const { pid } = this.running;
    await stopServer(this.server, pid, deadline);
    this.events.emit('embedded.stopped', { server: this.server.name, pid });
  }

  private async run(port?: number): Promise<RunningServer> {
    const { server, events, keeper } = this;
    const begun = performance.now();
    const running = await startServer(server, (pid) => keeper.watch(pid, server.stopSignal, server.mark), port);
    const durationMs = Math.round(performance.now() - begun);
    events.emit('embedded.started', { server: server.name, pid: running.pid, durationMs });
    this.running = running;
    void running.process.exited.then(() => {
      if (!this.stopping.signal.aborted) this.revival = this.revive(running);
    });
    return running;
  }

  private async revive({ pid, port }: RunningServer): Promise<void> {
    const { server, events } = this;
    events.emit('embedded.exited', { server: server.name, pid });
    const backoff = new Backoff({ base: 500, max: 30_000 });
    const { signal } = this.stopping;
    while (!signal.aborted) {
      try {
        await this.run(port);
        return;
      } catch (thrown) {
        events.emit('process.error', { error: toError(thrown), during: `restarting embedded ${server.name}` });
      }
      await wait(backoff.next(), undefined, { ref: false, signal }).catch(() => undefined);
    }
  }
}

const MAX_TRIES = 4;
const AGAIN_MS = 100;

/**
 * Starts a server.
 * @param onPid called with the process id as soon as there is one.
 * @param port the only port allowed. Default: the port of the last run if it is free, else any.
 * @throws UserError if it cannot be started.
 */
export async function startServer(
  server: EmbeddedServer,
  onPid: (pid: number) => void,
  port?: number,
): Promise<RunningServer> {
  const commandFor = await server.prepare();
  for (let attempt = 1; ; attempt++) {
    const chosen = port ?? (await freePort(attempt === 1 ? server.lastPort() : undefined));
    try {
      return await startOn(server, commandFor(chosen), chosen, onPid);
    } catch (error) {
      if (attempt === MAX_TRIES || !(error instanceof StartError && server.transient.test(error.log))) throw error;
      await wait(AGAIN_MS);
    }
  }
}

const START_TIMEOUT_MS = 20_000;
/** Size above which the log of previous runs is truncated, bytes. */
const MAX_LOG_BYTES = 1_000_000;
/** Length of the part of the log that the error of a failed start shows, characters. */
const MAX_SHOWN_LOG_LENGTH = 1500;

/** @throws UserError if the server cannot be run; StartError with the end of its log if it does not become ready. */
async function startOn(
  server: EmbeddedServer,
  command: Command,
  port: number,
  onPid: (pid: number) => void,
): Promise<RunningServer> {
  const { name, title, variable, folder } = server;
  const logFile = `${folder}/${name}.log`;
  if (fs.existsSync(logFile) && fs.statSync(logFile).size > MAX_LOG_BYTES) fs.truncateSync(logFile);
  const instead = `Or set ${variable} to a ${title} of your own.`;
  const onStart = (pid: number) => {
    server.record({ pid, port });
    onPid(pid);
  };
  const started = await launch(command, logFile, onStart).catch((thrown: unknown) => {
    throw new UserError(`Cannot run the embedded ${title}: ${toError(thrown).message}. ${instead}`);
  });
  const { pid, gone, ending } = started;
  const settled = await poll(
    async () => gone() || (await server.isReady({ pid, port })),
    Deadline.after(START_TIMEOUT_MS),
  );
  if (settled && !gone()) return { process: started, pid, port };
  if (!settled) process.kill(pid, 'SIGKILL');
  const what = settled ? ending() : `was not ready after ${START_TIMEOUT_MS / 1000} s`;
  const log = fs.readFileSync(logFile, 'utf8').slice(-MAX_SHOWN_LOG_LENGTH).trim();
  throw new StartError(`The embedded ${title} ${what}. Its log, ${logFile}, ends with:\n${log}\n${instead}`, log);
}

class StartError extends UserError {
  constructor(
    message: string,
    readonly log: string,
  ) {
    super(message);
  }
}

/** Asks a server to stop and waits until it has. Kills it shortly before the deadline. */
export async function stopServer(server: EmbeddedServer, pid: number, deadline: Deadline): Promise<void> {
  // The server may have ended unnoticed, and another process may have its pid.
  if (!(await runs(server, pid))) return;
  const gone = () => !isAlive(pid);
  signal(pid, `SIG${server.stopSignal}`);
  if (await poll(gone, deadline.part(STOP_PHASES.embeddedOrderly))) return;
  signal(pid, 'SIGKILL');
  await poll(gone, deadline);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has already ended.
  }
}

/** Checks the condition every few milliseconds until it holds. @returns false if the deadline has passed first. */
async function poll(condition: () => boolean | Promise<boolean>, deadline: Deadline): Promise<boolean> {
  while (!(await condition())) {
    if (deadline.expired) return false;
    await wait(Math.min(4, deadline.remaining()));
  }
  return true;
}

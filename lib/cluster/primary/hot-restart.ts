import fs from 'node:fs';
import type { Socket } from 'node:net';
import { environment, type InheritedSocket, takeVariables } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import {
  type Arrival,
  arrivalOf,
  type Connection,
  type ConnectionHandle,
  closeConnection,
  handleOf,
  noteArrival,
} from '../../internals/socket-handoff';
import { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import { toError } from '../../support/to-error';
import { type ChildProcess, spawnAgain } from '../child-process';
import type { Incoming } from '../messages';
import type { ListeningSocket } from './listener';

/** Carries `Inheritance` to the next primary. */
const VARIABLE = 'CATAMOUNT_PREDECESSOR';
/** The first file descriptor after standard input, output and error: that of the first socket. */
const FIRST_FD = 3;

/** What a primary leaves to the next one. */
export interface Inheritance {
  readonly sockets: readonly Omit<InheritedSocket, 'kind' | 'fd'>[];
  /** The address for people; null: the tree has no web. */
  readonly address: string | null;
  /** URLs of the embedded servers, which the first primary keeps running; null: there are none. */
  readonly databaseUrl: string | null;
  readonly redisUrl: string | null;
  /** true: a worker has answered `/ready` with 200. */
  readonly served: boolean;
}

/** What this process was started with. */
export interface Inherited {
  readonly sockets: readonly InheritedSocket[];
  /** undefined: no primary went before. */
  readonly predecessor: Inheritance | undefined;
}

/**
 * Reads what the primary before this one has left, or else the sockets of systemd (`sd_listen_fds(3)`), from the environment. No
 * child inherits these variables.
 */
export function takeInherited(): Inherited {
  const names = [VARIABLE, 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'] as const;
  const { [VARIABLE]: json, LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: labels = '' } = takeVariables(names);
  const at = (i: number) => ({ kind: 'inherited', fd: FIRST_FD + i }) as const;
  if (json !== undefined) {
    const predecessor = JSON.parse(json) as Inheritance;
    return { sockets: predecessor.sockets.map((socket, i) => ({ ...socket, ...at(i) })), predecessor };
  }
  const length = pid === String(process.pid) ? Number(count) || 0 : 0;
  const label = labels.split(':');
  const sockets = Array.from({ length }, (_, i) => ({ ...at(i), name: label[i] || 'unknown', path: null }));
  return { sockets, predecessor: undefined };
}

interface ConnectionMessage {
  readonly catamount: 'connection';
  readonly arrival?: Arrival | undefined;
}

/** Messages of the first primary to the one that serves. */
type ToServing =
  /** Listen, run jobs, and say `serving`. */
  | { readonly catamount: 'serve' }
  /** The next one serves: finish what you have, and exit. */
  | { readonly catamount: 'retire' }
  /** The next one could not start. */
  | { readonly catamount: 'refused'; readonly reason: string }
  | ConnectionMessage;

type FromServing =
  /** It could serve. */
  | { readonly catamount: 'ready' }
  | { readonly catamount: 'serving' }
  /** Carries a socket: start the next primary once all `inheritance.sockets` have come. */
  | { readonly catamount: 'hand-over'; readonly inheritance: Inheritance }
  /** For the next primary. */
  | ConnectionMessage;

/** Sends a message with a handle. Node's types allow sockets only, but it also sends a bare handle. */
function send(
  to: ChildProcess | NodeJS.Process,
  message: ToServing | FromServing,
  handle?: ConnectionHandle,
): Promise<void> {
  return new Promise((resolve) => {
    if (!to.connected || !to.send) return resolve();
    to.send(message, handle as unknown as Socket | undefined, undefined, () => resolve());
  });
}

function arrived(handle: unknown, { arrival }: ConnectionMessage): ConnectionHandle {
  noteArrival(handle as ConnectionHandle, arrival);
  return handle as ConnectionHandle;
}

/** Passes a connection on, of which no byte is read here. */
async function pass(to: ChildProcess | NodeJS.Process, connection: Connection): Promise<void> {
  const handle = handleOf(connection);
  if (handle) await send(to, { catamount: 'connection', arrival: arrivalOf(connection) }, handle);
  closeConnection(connection);
}

/**
 * In the first primary: starts the next one, and after it the ones that follow, always as its own child, so that the chain
 * never grows. Once another serves, the first one only passes on signals, connections and the exit code.
 */
export class HotRestart {
  serving: ChildProcess | undefined;
  private starting: ChildProcess | undefined;
  private readonly handles: ConnectionHandle[] = [];
  private readonly ended = deferred<number>();

  /**
   * @param limits `bootMs`: time until the next primary could serve; `stopMs`: time that it has to stop.
   * @param onEnd called when the primary that serves has ended, with its exit code.
   */
  constructor(
    private readonly limits: { readonly bootMs: number; readonly stopMs: number },
    private readonly events: Events,
    private readonly onEnd: (code: number) => void,
  ) {}

  get underWay(): boolean {
    return this.starting !== undefined;
  }

  readonly forward = (connection: Connection): void => {
    if (this.serving) void pass(this.serving, connection);
    else closeConnection(connection);
  };

  /**
   * Starts a primary by the command line of this one, and resolves when it serves.
   * @throws UserError when it does not come up; it is ended then.
   */
  async run(sockets: readonly ConnectionHandle[], inheritance: Inheritance): Promise<void> {
    if (this.starting) throw new UserError('a restart is under way already');
    const since = performance.now();
    const next = startPrimary(sockets, inheritance);
    this.starting = next;
    this.events.emit('primary.restarting', { pid: next.pid ?? 0 });
    const exited = deferred<number>();
    next.once('exit', (code, signal) => exited.resolve(code ?? (signal ? EXIT.failed : EXIT.ok)));
    try {
      await this.boots(next, exited.promise);
      this.serving = next;
      void exited.promise.then((code) => {
        if (this.serving !== next) return;
        this.ended.resolve(code);
        this.onEnd(code);
      });
      this.events.emit('primary.restarted', {
        pid: next.pid ?? 0,
        durationMs: Math.round(performance.now() - since),
      });
    } catch (thrown) {
      const error = toError(thrown);
      this.events.emit('primary.kept', { reason: error.message });
      void this.end(next, exited.promise);
      throw error;
    } finally {
      this.starting = undefined;
    }
  }

  /** Sends a signal to the other primaries. */
  signal(signal: NodeJS.Signals): void {
    this.serving?.kill(signal);
  }

  /** Ends the primary that serves, and kills it at the deadline. @returns its exit code. */
  async stop(deadline: Deadline): Promise<number> {
    this.signal('SIGTERM');
    if ((await deadline.wait(this.ended.promise)) === 'late') this.signal('SIGKILL');
    return this.ended.promise;
  }

  cancel(): void {
    this.starting?.kill('SIGTERM');
  }

  private async boots(next: ChildProcess, exited: Promise<number>): Promise<void> {
    const [ready, serving, failed] = [deferred(), deferred(), deferred<string>()];
    next.on('error', ({ message }) => failed.resolve(`it cannot be started: ${message}`));
    next.on('message', (given: unknown, handle: unknown) => {
      const message = given as Incoming<FromServing>;
      if (message?.catamount === 'ready') ready.resolve();
      else if (message?.catamount === 'serving') serving.resolve();
      else if (message?.catamount === 'connection') this.forward(arrived(handle, message));
      else if (message?.catamount === 'hand-over') this.collect(next, message.inheritance, handle);
    });
    void exited.then((code) => failed.resolve(`it ended with code ${code}; the log says why`));
    const timer = setTimeout(
      () => failed.resolve(`it was not ready after ${this.limits.bootMs / 1000} s`),
      this.limits.bootMs,
    );
    const reason = failed.promise.then((why) => {
      throw new UserError(`the new primary did not start: ${why}. The old one serves on.`);
    });
    try {
      await Promise.race([ready.promise, reason]);
      void send(next, { catamount: 'serve' });
      await Promise.race([serving.promise, reason]);
    } finally {
      clearTimeout(timer);
      reason.catch(() => undefined);
    }
  }

  /** Takes the sockets of the primary that serves, which has none if it has no web; then starts the next one. */
  private collect(from: ChildProcess, inheritance: Inheritance, handle: unknown): void {
    if (handle) this.handles.push(handle as ConnectionHandle);
    if (this.handles.length < inheritance.sockets.length) return;
    const sockets = this.handles.splice(0);
    this.run(sockets, inheritance)
      .then(
        () => send(from, { catamount: 'retire' }),
        (error: Error) => send(from, { catamount: 'refused', reason: error.message }),
      )
      .finally(() => {
        for (const socket of sockets) socket.close();
      });
  }

  private async end(next: ChildProcess, exited: Promise<number>): Promise<void> {
    next.kill('SIGTERM');
    if ((await Deadline.after(this.limits.stopMs).wait(exited)) === 'late') next.kill('SIGKILL');
  }
}

/** This same command line, by the Node.js that its first word leads to now, in the environment that this process was given. */
function startPrimary(sockets: readonly ConnectionHandle[], inheritance: Inheritance): ChildProcess {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, ...env } = givenEnvironment();
  return spawnAgain({ ...env, [VARIABLE]: JSON.stringify(inheritance) }, sockets);
}

/** Without what the app and Catamount have set since, so that a changed .env file counts. Other systems than Linux do not say. */
function givenEnvironment(): Readonly<Record<string, string | undefined>> {
  try {
    const lines = fs.readFileSync('/proc/self/environ', 'utf8').split('\0').filter(Boolean);
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  } catch {
    const { CATAMOUNT_CONFIG, ...env } = environment();
    return env;
  }
}

/** In a later primary: its connection to the first one, whose child it is. */
export class FirstPrimary {
  private answer = deferred<string | undefined>();
  private readonly asked = deferred();
  /** Resolves when all connections of `forward` have left this process: messages keep their order. */
  flushed: Promise<void> = Promise.resolve();

  /** @param onConnection gets the connections of the primary before. @param onGone called when the first primary has ended. */
  constructor(onConnection: (connection: Connection) => void, onGone: () => void) {
    process.on('message', (given: unknown, handle: unknown) => {
      const message = given as Incoming<ToServing>;
      if (message?.catamount === 'serve') this.asked.resolve();
      else if (message?.catamount === 'retire') this.answer.resolve(undefined);
      else if (message?.catamount === 'refused') this.answer.resolve(message.reason);
      else if (message?.catamount === 'connection') onConnection(arrived(handle, message));
    });
    process.once('disconnect', onGone);
  }

  /** Reports that this process could serve; resolves when it is to. */
  async ready(): Promise<void> {
    void send(process, { catamount: 'ready' });
    await this.asked.promise;
  }

  async serves(): Promise<void> {
    await send(process, { catamount: 'serving' });
  }

  readonly forward = (connection: Connection): void => {
    this.flushed = pass(process, connection);
  };

  /** Has the next primary started. @throws UserError when it does not come up. */
  async restart(sockets: readonly ListeningSocket[], inheritance: Inheritance): Promise<void> {
    this.answer = deferred();
    const message = { catamount: 'hand-over', inheritance } as const;
    if (sockets.length === 0) void send(process, message);
    for (const { handle } of sockets) void send(process, message, handle);
    const refusal = await this.answer.promise;
    if (refusal !== undefined) throw new UserError(refusal);
  }
}

import fs from 'node:fs';
import { Writable } from 'node:stream';
import pino, { type DestinationStream, type Logger } from 'pino';
import { toError } from '../support/async';
import { pluralize } from '../support/text';
import type { Config } from './config';
import { logEvents } from './event-catalog';
import { Events } from './events';
import { currentContext } from './execution-context';
import { LogFilter } from './log-filter';
import { DescriptorWatch } from './process-metrics';

export type { Logger };

/**
 * The logger of one process; each line names it (`web.0`, `jobs`, `primary`) and carries the running request or job.
 * @param filter hides what attributes and errors have of secrets and of people's data.
 */
export function createLogger(
  config: Pick<Config, 'log'>,
  processName: string,
  destination: DestinationStream,
  filter = new LogFilter(),
): Logger {
  return pino(
    {
      level: config.log.level,
      base: { process: processName, pid: process.pid },
      mixin: () => {
        const context = { ...currentContext() };
        return context.attributes ? { ...context, attributes: filter.attributes(context.attributes) } : context;
      },
      serializers: { err: (error: unknown) => (error instanceof Error ? filter.error(error) : error) },
      timestamp: isoTime(),
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

/** As pino's own, down to the millisecond, for a fraction of its price: a line's date and minute are those of the last one. */
export function isoTime(now: () => number = Date.now): () => string {
  const MINUTE = 60_000;
  let minute = Number.NaN;
  let begun = '';
  return () => {
    const ms = now();
    const since = ms % MINUTE;
    if (ms - since !== minute) {
      minute = ms - since;
      begun = new Date(ms).toISOString().slice(0, 'yyyy-mm-ddThh:mm:'.length);
    }
    // 1SSmmm: the 1 keeps the zeros.
    const digits = String(100_000 + since);
    return `,"time":"${begun}${digits.slice(1, 3)}.${digits.slice(3)}Z"`;
  };
}

/**
 * The file that standard output was redirected to, or null. Its name is learnt at the start: once a log rotation has
 * moved it, the system only tells the new one.
 */
export function fileBehindStdout(): string | null {
  try {
    return fs.fstatSync(1).isFile() ? fs.readlinkSync('/proc/self/fd/1') : null;
  } catch {
    return null;
  }
}

export interface LogDestination extends DestinationStream {
  /** After a rotation: goes on in a new file of the old name. Without a file there is nothing to do. */
  reopen(): void;
  /** Calls the listener when lines were dropped because nobody read them, once they are read again. */
  onDropped(listener: (count: number) => void): void;
}

/**
 * Lines go out at once, so that a crash loses none; but a pipe that nobody reads, or a terminal that was stopped, holds
 * nothing up.
 * @param fd where standard output is in this process.
 */
export function openLogDestination({ format, file }: Config['log'], fd: number): LogDestination {
  if (format === 'pretty') {
    // Loaded only where a person reads: JSON logs do without its 2 MiB.
    const pretty = require('pino-pretty') as typeof import('pino-pretty');
    const writer = new NonBlockingWriter(fd);
    const stream = pretty({
      destination: new Writable({
        decodeStrings: false,
        write: (text, _encoding, done) => {
          writer.write(String(text));
          done();
        },
      }),
      colorize: process.stdout.isTTY === true || fs.fstatSync(fd).isCharacterDevice(),
      translateTime: 'SYS:HH:MM:ss.l',
      // The message says it already, or it is for machines.
      ignore:
        'pid,process,child,requestId,jobId,jobClass,attempt,locale,method,path,status,durationMs,queuedMs,remoteAddress,messageId',
      messageFormat: '[{process}] {if child}{child}: {end}{msg}{if requestId} ({requestId}){end}',
      singleLine: true,
    });
    return Object.assign(stream, { reopen: () => undefined, onDropped: dropsOf(writer) });
  }
  if (file === null) {
    const writer = new NonBlockingWriter(fd);
    return { write: (text) => writer.write(text), reopen: () => undefined, onDropped: dropsOf(writer) };
  }
  // A descriptor of its own: closing standard output itself would give its number to the next file that is opened.
  const destination = pino.destination({ dest: file, append: true, sync: true });
  const reopen = destination.reopen.bind(destination);
  return Object.assign(destination, { reopen: () => reopen(), onDropped: () => undefined });
}

function dropsOf(writer: NonBlockingWriter): LogDestination['onDropped'] {
  return (listener) => {
    writer.onDropped = listener;
  };
}

/** In a child, standard output is a pipe to the primary for stray lines; the log goes past it. */
export const CHILD_LOG_FD = 4;

export interface ProcessLog {
  readonly events: Events;
  /** Goes on in a new file after a log rotation. */
  readonly reopen: () => void;
}

/**
 * The events of this process, with the one subscriber that logs them, and a watch over its file descriptors.
 * @param name how log lines call the process.
 * @param fd where the log goes: 1, or CHILD_LOG_FD in a child.
 */
export function openLog(config: Config, name: string, fd = 1): ProcessLog {
  const events = new Events();
  const destination = openLogDestination(config.log, fd);
  logEvents(events, createLogger(config, name, destination, new LogFilter(events)));
  destination.onDropped((count) =>
    events.emit('process.warning', {
      message: `dropped ${pluralize(count, 'log line')}: nobody read what this process wrote. See what standard output goes to.`,
    }),
  );
  // The pipe breaks when the primary dies: a stray line is no reason to die as well.
  if (fd !== 1) for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  new DescriptorWatch(events).start();
  return { events, reopen: () => destination.reopen() };
}

export interface UncaughtRules {
  /** true: the error is known to be the fault of one piece of work, which has been made to answer for it. */
  readonly contain?: (error: Error) => boolean;
  /** Whether the process may go on after this rejection, which was logged. */
  readonly outlives?: () => boolean;
}

/**
 * An error that nobody caught leaves the process in an unknown state: it is logged, and `leave` winds the process up
 * as gently as it still can. A second one ends it at once.
 */
export function onUncaught(
  events: Events,
  leave: () => Promise<unknown>,
  { contain = () => false, outlives = () => false }: UncaughtRules = {},
): void {
  let leaving = false;
  process.on('uncaughtException', (thrown: unknown, origin) => {
    const error = toError(thrown);
    if (contain(error)) return;
    events.emit('process.error', { error, during: 'uncaught' });
    if (origin === 'unhandledRejection' && outlives()) return;
    if (leaving) process.exit(1);
    leaving = true;
    leave().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
}

/** What is kept while nobody reads, characters. */
const MAX_UNREAD = 1_000_000;
/** How often it is tried again meanwhile, ms. */
const WRITE_RETRY_MS = 100;

/**
 * Writes to a pipe or a terminal at once, so that a crash loses nothing, but never waits: what cannot be written is kept up
 * to a bound and goes out when it flows again, and what is beyond the bound is dropped and counted.
 */
export class NonBlockingWriter {
  /** Told, once it flows again, how many texts were dropped. */
  onDropped: (count: number) => void = () => undefined;
  private readonly fd: number;
  private kept: Buffer[] = [];
  private size = 0;
  private dropped = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    this.fd = reopenNonBlocking(fd);
    // One last try: what a stop has said.
    process.once('exit', () => this.flush());
  }

  write(text: string): void {
    if (this.size + text.length > MAX_UNREAD) {
      this.dropped++;
      return;
    }
    const bytes = Buffer.from(text);
    this.kept.push(bytes);
    this.size += bytes.length;
    if (this.timer === undefined) this.flush();
  }

  private flush(): void {
    this.timer = undefined;
    try {
      for (;;) {
        const [first] = this.kept;
        if (first === undefined) break;
        const written = fs.writeSync(this.fd, first);
        this.size -= written;
        if (written === first.length) this.kept.shift();
        else this.kept[0] = first.subarray(written);
      }
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code !== 'EAGAIN') {
        // Whoever read it is gone for good: nothing is left to be written to.
        this.kept = [];
        this.size = 0;
        return;
      }
      this.timer = setTimeout(() => this.flush(), WRITE_RETRY_MS);
      this.timer.unref();
      return;
    }
    if (this.dropped === 0) return;
    const { dropped } = this;
    this.dropped = 0;
    this.onDropped(dropped);
  }
}

/**
 * The same pipe or terminal, opened anew: the descriptor itself is shared with others, for whom it should go on to wait.
 * Where that is not possible it stays as it is; Node has mostly set it not to wait, too, when it looked at process.stdout.
 */
function reopenNonBlocking(fd: number): number {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return fd;
  }
}

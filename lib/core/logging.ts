import { Writable } from 'node:stream';
import type { DestinationStream, Logger } from 'pino';
import pino from 'pino';
import { pluralize } from '../support/counted';
import { NonBlockingWriter, readStat } from '../support/non-blocking-writer';
import { escapeDirections, printableLines } from '../support/terminal-text';
import { toError } from '../support/to-error';
import type { Config } from './config';
import { DescriptorWatch } from './descriptor-watch';
import { publishDiagnostics } from './diagnostics';
import { logEvents } from './event-catalog';
import { Events } from './events';
import { currentContext } from './execution-context';
import { LogFilter } from './log-filter';
import { withoutPasswords } from './redact';

export type { Logger };

/**
 * Makes the logger of a process; each line has its name (`web.0`, `jobs`, `primary`) and the running request or job.
 * Passwords in URLs are hidden. @param filter redacts attributes and errors.
 */
export function createLogger(
  config: { readonly log: Omit<Config['log'], 'requests'> },
  processName: string,
  destination: DestinationStream,
  filter = new LogFilter(),
): Logger {
  return pino(
    {
      level: config.log.level,
      base: { process: processName, pid: process.pid },
      mixin: () => {
        const { sql, ...context } = currentContext();
        return context.attributes ? { ...context, attributes: filter.attributes(context.attributes) } : context;
      },
      serializers: { err: (error: unknown) => (error instanceof Error ? filter.error(error) : error) },
      hooks: { streamWrite: (line) => (line.includes('://') ? withoutPasswords(line) : line) },
      timestamp: isoTime(),
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}

/** Formats the time of a line as pino's `isoTime` does; it is much cheaper, since it formats each minute only once. */
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
    // The leading 1 of 1SSmmm keeps the zeros.
    const digits = String(100_000 + since);
    return `,"time":"${begun}${digits.slice(1, 3)}.${digits.slice(3)}Z"`;
  };
}

export interface LogDestination extends DestinationStream {
  /** Writes a line of another logger as it is, in either format. */
  pass(line: string): void;
  /** Calls the listener with the number of lines that were dropped while nobody read them, once they are read again. */
  onDropped(listener: (count: number) => void): void;
}

/**
 * Opens the destination of the log. Lines are written at once, so that a crash loses none, but a pipe that nobody
 * reads, or a stopped terminal, blocks nothing.
 * @param fd the descriptor of standard output, or a child's copy of it.
 */
export function openLogDestination({ format }: Pick<Config['log'], 'format'>, fd: number): LogDestination {
  const writer = new NonBlockingWriter(fd);
  const more: Omit<LogDestination, 'write'> = {
    pass: (line) => writer.write(`${line}\n`),
    onDropped: (listener) => {
      writer.onDropped = listener;
    },
  };
  if (format === 'json') return { write: (text) => writer.write(text), ...more };
  // pino-pretty takes 2 MiB, so it is loaded only for logs that a person reads.
  const pretty = require('pino-pretty') as typeof import('pino-pretty');
  const stream = pretty({
    destination: new Writable({
      decodeStrings: false,
      write: (text, _encoding, done) => {
        writer.write(escapeDirections(String(text)));
        done();
      },
    }),
    colorize: process.stdout.isTTY === true || readStat(fd).isCharacterDevice(),
    translateTime: 'SYS:HH:MM:ss.l',
    // These fields are in the message already, or are for machines.
    ignore:
      'pid,process,child,requestId,jobId,jobClass,attempt,locale,method,path,status,durationMs,queuedMs,sqlMs,sqlCount,internal,remoteAddress,messageId',
    messageFormat: prettyMessage,
    singleLine: true,
  });
  return Object.assign(stream, more);
}

/** A line of a message that has several is indented, so that none of them looks like a line of the log. */
function prettyMessage({ process: name, child, msg, requestId }: Readonly<Record<string, unknown>>): string {
  const text = printableLines(String(msg)).join('\n    ');
  return `[${name}] ${child ? `${child}: ` : ''}${text}${requestId ? ` (${requestId})` : ''}`;
}

/** The descriptor of the log in a child, whose standard output is a pipe to the primary for stray lines. */
export const CHILD_LOG_FD = 4;

/**
 * Makes the events of this process, with the one subscriber that logs them, its diagnostics channels, and a watch over its file
 * descriptors.
 * @param name the name of the process in log lines.
 * @param fd the descriptor of the log: 1, or CHILD_LOG_FD in a child.
 * @param isPart true: of a part of this process, which has a log already.
 */
export function openLog(config: Config, name: string, fd = 1, isPart = false): Events {
  const events = new Events();
  const destination = openLogDestination(config.log, fd);
  let keep: ((line: string) => void) | undefined;
  events.on('log.kept', (keeper) => {
    keep = keeper.take;
  });
  const write = (line: string) => {
    destination.write(line);
    keep?.(line);
  };
  logEvents(events, createLogger(config, name, { write }, new LogFilter(events)), config.log);
  events.on('child.record', ({ line }) => destination.pass(line));
  destination.onDropped((count) =>
    events.emit('process.warning', {
      message: `dropped ${pluralize(count, 'log line')}: nobody read what this process wrote. Check where standard output goes.`,
    }),
  );
  // The pipe breaks when the primary dies; a stray line must not kill the child then.
  if (fd !== 1) for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  if (!isPart) new DescriptorWatch(events).start();
  publishDiagnostics(events);
  return events;
}

export interface UncaughtRules {
  /** @returns true when the error belongs to one piece of work, which has been failed with it. Default: never. */
  readonly contain?: (error: Error) => boolean;
}

/**
 * Handles uncaught errors. Such an error leaves the process in an unknown state, so it is logged, and `leave` ends the
 * process as gracefully as possible. A second error ends it at once.
 */
export function onUncaught(
  events: Events,
  leave: () => Promise<unknown>,
  { contain = () => false }: UncaughtRules = {},
): void {
  let leaving = false;
  process.on('uncaughtException', (thrown: unknown) => {
    const error = toError(thrown);
    if (contain(error)) return;
    events.emit('process.error', { error, during: 'uncaught' });
    if (leaving) process.exit(1);
    leaving = true;
    leave().then(
      () => process.exit(1),
      () => process.exit(1),
    );
  });
}

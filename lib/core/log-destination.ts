import fs from 'node:fs';
import { Writable } from 'node:stream';
import pino, { type DestinationStream } from 'pino';
import type { Config } from './config';
import { NonBlockingWriter } from './non-blocking-writer';

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

import fs from 'node:fs';
import pino, { type DestinationStream } from 'pino';
import type { Config } from './config';

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
}

/** Lines go out at once, so that a crash loses none. @param fd where standard output is in this process. */
export function openLogDestination({ format, file }: Config['log'], fd: number): LogDestination {
  if (format === 'pretty') {
    // Loaded only where a person reads: JSON logs do without its 2 MiB.
    const pretty = require('pino-pretty') as typeof import('pino-pretty');
    const stream = pretty({
      destination: fd,
      sync: true,
      colorize: process.stdout.isTTY === true || fs.fstatSync(fd).isCharacterDevice(),
      translateTime: 'SYS:HH:MM:ss.l',
      // The message says it already, or it is for machines.
      ignore:
        'pid,process,child,requestId,jobId,jobClass,attempt,locale,method,path,status,durationMs,queuedMs,remoteAddress,messageId',
      messageFormat: '[{process}] {if child}{child}: {end}{msg}{if requestId} ({requestId}){end}',
      singleLine: true,
    });
    return Object.assign(stream, { reopen: () => undefined });
  }
  if (file === null) return Object.assign(pino.destination({ fd, sync: true }), { reopen: () => undefined });
  // A descriptor of its own: closing standard output itself would give its number to the next file that is opened.
  const destination = pino.destination({ dest: file, append: true, sync: true });
  const reopen = destination.reopen.bind(destination);
  return Object.assign(destination, { reopen: () => reopen() });
}

import { randomBytes } from 'node:crypto';
import { isCaller } from '../core/event-catalog';
import type { Caller } from '../core/events';
import { escapeControls } from '../support/terminal-text';

/** Longer names of callers are truncated, characters. */
const MAX_CALLER_LENGTH = 200;

/** Commands that may be sent to a tree through Redis: only those that leave it running. */
const REMOTE_COMMANDS = [
  'phased-restart',
  'recycle',
  'worker-count-up',
  'worker-count-down',
  'jobs quiet',
  'jobs resume',
] as const;
export type RemoteCommand = (typeof REMOTE_COMMANDS)[number];

interface PendingCommand {
  /** Unique among all commands. */
  readonly id: string;
  readonly command: RemoteCommand;
  /** The slot for `recycle`, else 0. */
  readonly argument: number;
  readonly by: Caller;
}

function isRemoteCommand(text: unknown): text is RemoteCommand {
  return REMOTE_COMMANDS.some((command) => command === text);
}

export function newCommand(command: RemoteCommand, argument: number, by: Caller): PendingCommand {
  return { id: randomBytes(6).toString('hex'), command, argument, by };
}

/** @returns undefined for a text that is not a command known to this version. */
export function readCommand(text: string): PendingCommand | undefined {
  try {
    const { id, command, argument, by } = JSON.parse(text) as Partial<PendingCommand>;
    if (typeof id !== 'string' || !isRemoteCommand(command) || typeof by !== 'string') return undefined;
    // The name is logged by a tree that cannot verify who sent the command.
    const caller = escapeControls(by.slice(0, MAX_CALLER_LENGTH));
    if (!isCaller(caller) || !Number.isSafeInteger(argument)) return undefined;
    return { id, command, argument: argument ?? 0, by: caller };
  } catch {
    return undefined;
  }
}

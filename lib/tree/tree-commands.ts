import { randomBytes } from 'node:crypto';
import { isCaller } from '../core/event-catalog';
import type { Caller } from '../core/events';
import { escapeControls } from '../support/text';

/** Redis zset of every tree on this Redis: its id, by the time of its last heartbeat (ms, Redis's clock). */
export const TREES = 'catamount:trees';
/** Redis string that exists while somebody watches the trees. */
export const WATCHED = 'catamount:trees:watched';
/** Channel of the ids of trees that should send a heartbeat at once; an empty message means all trees. */
export const TREES_WAKE = 'catamount:trees:wake';

export const TREE_PREFIX = 'catamount:tree:';

/** Redis string: the tree's last status, as JSON. */
export function treeStatusKey(id: string): string {
  return TREE_PREFIX + id;
}

/** Redis list: commands that the tree has not yet begun. */
export function treeCommandsKey(id: string): string {
  return `${TREE_PREFIX}${id}:commands`;
}

/** Redis string: the number of the tree's last rollup that has been written. */
export function writtenKey(id: string): string {
  return `${TREE_PREFIX}${id}:written`;
}

/** Redis hash: one time series, by step. @param place the place of a tree, or `all`. @param range such as `10m`. */
export function figuresKey(place: string, range: string): string {
  return `catamount:rollups:${place}:${range}`;
}

/** Longer names of callers are truncated, characters. */
const MAX_CALLER_LENGTH = 200;

/** Commands that may be sent to a tree through Redis: only those that leave it running. */
const TREE_COMMANDS = [
  'phased-restart',
  'recycle',
  'worker-count-up',
  'worker-count-down',
  'jobs quiet',
  'jobs resume',
] as const;
export type TreeCommand = (typeof TREE_COMMANDS)[number];

interface PendingCommand {
  /** Unique among all commands. */
  readonly id: string;
  readonly command: TreeCommand;
  /** The slot for `recycle`, else 0. */
  readonly argument: number;
  readonly by: Caller;
}

function isTreeCommand(text: unknown): text is TreeCommand {
  return TREE_COMMANDS.some((command) => command === text);
}

export function newCommand(command: TreeCommand, argument: number, by: Caller): PendingCommand {
  return { id: randomBytes(6).toString('hex'), command, argument, by };
}

/** @returns undefined for a text that is not a command known to this version. */
export function readCommand(text: string): PendingCommand | undefined {
  try {
    const { id, command, argument, by } = JSON.parse(text) as Partial<PendingCommand>;
    if (typeof id !== 'string' || !isTreeCommand(command) || typeof by !== 'string') return undefined;
    // The name is logged by a tree that cannot verify who sent the command.
    const caller = escapeControls(by.slice(0, MAX_CALLER_LENGTH));
    if (!isCaller(caller) || !Number.isSafeInteger(argument)) return undefined;
    return { id, command, argument: argument ?? 0, by: caller };
  } catch {
    return undefined;
  }
}

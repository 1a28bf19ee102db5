import { randomBytes } from 'node:crypto';
import { escapeControls } from '../support/text';

/** zset, id by its last pulse (ms, Redis's clock): every tree on this Redis. */
export const TREES = 'catamount:trees';
/** string: exists while somebody looks at the trees. */
export const WATCHED = 'catamount:trees:watched';

/** list of what operators have done, newest first: when (ms, Redis's clock), to how many, what as JSON. */
export const ACTS = 'catamount:acts';

/** What every key of one tree begins with. */
export const TREE_PREFIX = 'catamount:tree:';

/** string: how it looked last, as JSON. */
export function pictureKey(id: string): string {
  return TREE_PREFIX + id;
}

/** list: orders that it has not begun yet. */
export function treeOrdersKey(id: string): string {
  return `${TREE_PREFIX}${id}:orders`;
}

/** string: the number of the last part of its figures that is written down. */
export function writtenKey(id: string): string {
  return `${TREE_PREFIX}${id}:written`;
}

/** hash: figures of one place at one resolution, by step. @param place of a tree, or `all`. */
export function figuresKey(place: string, range: string): string {
  return `catamount:rollups:${place}:${range}`;
}

/** Longer names of askers are cut. */
const LONGEST_BY = 200;

/** What can be ordered of a tree through Redis: nothing that it would not come back from. */
const TREE_COMMANDS = [
  'phased-restart',
  'recycle',
  'worker-count-up',
  'worker-count-down',
  'jobs quiet',
  'jobs resume',
] as const;
export type TreeCommand = (typeof TREE_COMMANDS)[number];

interface TreeOrder {
  /** Unlike any other order's. */
  readonly id: string;
  readonly command: TreeCommand;
  /** The slot, for `recycle`; else 0. */
  readonly argument: number;
  /** Who asks, for the log. */
  readonly by: string;
}

function isTreeCommand(text: unknown): text is TreeCommand {
  return TREE_COMMANDS.some((command) => command === text);
}

export function newOrder(command: TreeCommand, argument: number, by: string): TreeOrder {
  return { id: randomBytes(6).toString('hex'), command, argument, by };
}

/** @returns undefined for what is no order of this version or a near one. */
export function readOrder(text: string): TreeOrder | undefined {
  try {
    const { id, command, argument, by } = JSON.parse(text) as Partial<TreeOrder>;
    if (typeof id !== 'string' || !isTreeCommand(command) || typeof by !== 'string') return undefined;
    // It goes into the log of a tree that did not see who asked.
    const asker = escapeControls(by.slice(0, LONGEST_BY));
    return Number.isSafeInteger(argument) ? { id, command, argument: argument ?? 0, by: asker } : undefined;
  } catch {
    return undefined;
  }
}

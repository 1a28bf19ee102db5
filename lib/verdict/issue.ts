import type { Death } from '../cluster/tree-picture';
import type { Holder } from './slot-holders';

export type Level = 'warn' | 'bad';

/** What can be wrong, by the name that the pages, the terminal and the metrics share. */
export const ISSUE_CODES = [
  'noPrimary',
  'nobodyServes',
  'restarts',
  'hot',
  'silent',
  'circuit',
  'jobsRestart',
  'jobsStopped',
  'jobsQuiet',
  'jobsSilent',
  'turnedAway',
  'serverErrors',
  'memory',
  'phase',
  'treeSilent',
  'otherTree',
  'redisAway',
  'postgresAway',
  'foreign',
  'redisEmptied',
  'paused',
  'late',
  'slotsHeld',
  'unserved',
  'failing',
  'deaths',
  'cronFails',
  'connections',
  'redisFull',
  'eviction',
  'mailFails',
] as const;
export type IssueCode = (typeof ISSUE_CODES)[number];

/** Something that needs a person. It is not in anybody's words yet. */
export interface Issue {
  readonly level: Level;
  readonly code: IssueCode;
  /** Lengths of time are in ms and end in `Ms`, shares of 1 in `Share`. */
  readonly figures: Readonly<Record<string, string | number>>;
  /** What it is about where there may be several of a kind: a slot, a queue, a class, a tree. */
  readonly subject?: string;
  /** Why a process is gone. */
  readonly death?: Death | null;
  /** What runs in the slots. */
  readonly holders?: readonly Holder[];
  /** Texts that may name people: what a process printed, a path, what a mail server answered. */
  readonly detail?: string;
}

/** Worst first; among equals as they came. */
export function worstFirst(issues: readonly Issue[]): Issue[] {
  return [...issues.filter(({ level }) => level === 'bad'), ...issues.filter(({ level }) => level === 'warn')];
}

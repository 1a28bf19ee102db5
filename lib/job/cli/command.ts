import type { parseArgs } from 'node:util';
import { EXIT, UserError } from '../../core/errors';
import { Redactor } from '../../core/redact';
import { didYouMean } from '../../support/did-you-mean';
import { type Duration, parseDuration } from '../../support/duration';
import type { JobAdmin } from '../admin/job-admin';
import type { JobJsonRules } from '../admin/job-json';
import type { JobClass } from '../definition/job-class';
import { effectiveName } from '../definition/options';
import type { JobDependencies } from '../enqueue/connection';
import type { JobRegistry } from '../job-registry';
import { checkFilter, type JobFilter } from '../sets/query';
import type { Terminal } from './terminal';

export interface CommandContext {
  readonly admin: JobAdmin;
  readonly registry: JobRegistry;
  readonly equipment: JobDependencies;
  readonly terminal: Terminal;
  /**
   * Takes over the jobs of a copied database. @returns false when the database belonged to this installation already.
   */
  readonly adopt: () => Promise<boolean>;
}

export interface Answer {
  readonly json: unknown;
  readonly text: string;
  /**
   * Remarks and rejections, one line each, for standard error. They are omitted with --json, which has them already.
   */
  readonly notes?: readonly string[];
  /** false if something that was asked for could not be done. Default true. */
  readonly ok?: boolean;
}

export type Run = (context: CommandContext) => Promise<Answer>;

/** A word after the command's name. */
interface Operand {
  /** The name in the help. */
  readonly name: string;
  readonly optional?: true;
  /** true if any number of them may be given. */
  readonly repeated?: true;
  /** An option that may be given instead. */
  readonly instead?: OptionName;
}

interface CommandInput {
  readonly operands: readonly string[];
  readonly options: Options;
}

/** A subcommand of `catamount jobs`. */
export interface JobCommand {
  /** The words that are typed after `jobs`. */
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly options: readonly OptionName[];
  /** One line, for the help and the guide to jobs. */
  readonly help: string;
  /** Checks the input before anything is connected. @throws UserError with the exit code for wrong usage. */
  prepare(input: CommandInput): Run;
}

/** The usage as typed after `catamount`: `jobs enqueue CLASS [JSON]`. */
export function describeUsage({ name, operands }: Pick<JobCommand, 'name' | 'operands'>): string {
  const words = operands.map((operand) => {
    const word = operand.repeated ? `${operand.name}…` : operand.name;
    if (operand.instead) return `${word} or --${operand.instead}`;
    return operand.optional ? `[${word}]` : word;
  });
  return ['jobs', name, ...words].join(' ');
}

/** The single table of options: the parser and the help are made from it. */
export const OPTIONS = {
  queue: {
    type: 'string',
    multiple: true,
    value: 'QUEUE',
    help: 'only jobs of this queue; may be given several times',
  },
  class: { type: 'string', value: 'CLASS', help: 'only jobs of this class' },
  tag: { type: 'string', multiple: true, value: 'TAG', help: 'only jobs with this tag' },
  batch: { type: 'string', value: 'ID', help: 'only jobs of this batch' },
  error: { type: 'string', value: 'TEXT', help: 'only jobs with this in an error or in the reason why they died' },
  text: { type: 'string', value: 'TEXT', help: 'only jobs with this in id, class, arguments, tags, request or errors' },
  limit: { type: 'string', value: 'N', help: 'at most this many jobs' },
  page: { type: 'string', value: 'N', help: 'a later page of the list' },
  all: { type: 'boolean', help: 'instead of ids: all jobs of a set that match the filters' },
  set: { type: 'string', value: 'SET', help: 'the set for --all: retry, scheduled or dead' },
  reason: { type: 'string', value: 'TEXT', help: 'why: for the log, the pages and the signal of a job that runs' },
  yes: { type: 'boolean', short: 'y', help: 'do not ask for confirmation' },
  wait: { type: 'string', value: 'TIME', help: 'run after this long: 90s, 5m, 2h, 7d' },
  priority: {
    type: 'string',
    value: 'N',
    help: 'from --priority=-100, which runs first, to 100; default: that of the class',
  },
  'expires-in': { type: 'string', value: 'TIME', help: 'do not run if it has not begun when due for this long' },
  'time-zone': {
    type: 'string',
    value: 'ZONE',
    help: 'of the times of a recurring job, such as Europe/Berlin; default UTC',
  },
  json: { type: 'boolean', help: 'print the answer as JSON' },
  help: { type: 'boolean', short: 'h', help: 'print this' },
} as const;

export type OptionName = keyof typeof OPTIONS;

export type Options = ReturnType<typeof parseArgs<{ readonly options: typeof OPTIONS }>>['values'];

export const FILTERS = ['queue', 'class', 'tag', 'batch', 'error', 'text'] as const satisfies readonly OptionName[];

/** @throws UserError for an invalid filter. */
export function readFilter({ queue, class: name, tag, batch, error, text }: Options): JobFilter {
  const filter = { queue, class: name, tag: onlyOne('tag', tag), batch, error, text };
  checkFilter(filter);
  return filter;
}

/** @throws UserError if the option was given several times. */
export function onlyOne(name: OptionName, given: readonly string[] | undefined): string | undefined {
  if (given && given.length > 1) throw wrongUsage(`--${name} can be given once here, not ${given.length} times.`);
  return given?.[0];
}

/** @throws UserError for anything but a whole number from 1. */
export function readNumber(name: OptionName, given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^[1-9]\d{0,9}$/.test(given)) return Number(given);
  throw wrongUsage(`--${name} is ${JSON.stringify(given)}; give a whole number from 1.`);
}

/** The length of time that an option gives; undefined if it was not given. @throws UserError. */
export function readTime(name: OptionName, given: string | undefined): Duration | undefined {
  if (given === undefined) return undefined;
  const ms = /[a-z]$/.test(given) ? parseDuration(given) : undefined;
  if (ms === undefined)
    throw wrongUsage(`--${name} is ${JSON.stringify(given)}; give a time such as 90s, 5m, 2h or 7d.`);
  return ms;
}

export function wrongUsage(message: string): UserError {
  return new UserError(message, EXIT.usage);
}

/** Operators at a terminal see everything except what the app's filters and classes redact. */
export function redactionRules({ registry, equipment }: CommandContext): JobJsonRules {
  return { jobs: registry, redactor: new Redactor(equipment.setup?.filterArguments) };
}

/** @throws UserError for a queue that does not exist, with a suggestion. */
export async function checkQueues({ admin }: CommandContext, names: readonly string[] = []): Promise<void> {
  if (names.length === 0) return;
  const known = await admin.queueNames();
  for (const name of names) if (!known.includes(name)) throw unknownName('queue', name, known);
}

/** @throws UserError for an unknown name, with a suggestion. */
export function findJobClass({ registry }: CommandContext, name: string): JobClass {
  const found = registry.get(name);
  if (found) return found;
  throw unknownName('job class', name, [...registry].map(effectiveName).sort());
}

/**
 * Checks the class of a filter that matched nothing. Jobs of a removed class may exist, but if there are none the name
 * is probably mistyped. @throws UserError with a suggestion.
 */
export function checkClass(context: CommandContext, name: string | undefined): void {
  if (name !== undefined) findJobClass(context, name);
}

export function unknownName(kind: string, name: string, known: readonly string[]): UserError {
  const all = known.length === 0 ? 'There is none yet.' : `There are: ${known.join(', ')}.`;
  return new UserError(`There is no ${kind} ${JSON.stringify(name)}.${suggestion(name, known)} ${all}`);
}

/** ` Did you mean jobs list?`, or ''. @param before the words typed before this one. */
export function suggestion(given: string, known: readonly string[], before = ''): string {
  const near = didYouMean(given, known);
  return near === undefined ? '' : ` Did you mean ${before}${near}?`;
}

/**
 * Asks for confirmation before an action on many jobs.
 * @param yes true if it was confirmed by --yes.
 * @throws UserError when nobody can be asked, or the answer is not yes.
 */
export async function confirmed({ terminal }: CommandContext, yes: boolean, what: string): Promise<void> {
  if (yes) return;
  if (!terminal.isInteractive) throw new UserError(`This would ${what}: add --yes to confirm it.`, EXIT.usage);
  if (await terminal.confirm(`${what[0]?.toUpperCase()}${what.slice(1)}?`)) return;
  throw new UserError('Nothing was changed.');
}

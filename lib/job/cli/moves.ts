import { UserError } from '../../core/errors';
import { countText, pluralize } from '../../support/text';
import { DONE, movesOf, SETS_OF, type Verb } from '../admin/job-admin';
import { checkRef, type JobFilter, type JobRef } from '../sets/query';
import {
  type Answer,
  BOTH,
  FILTERS,
  filterOf,
  type JobCommand,
  numberOf,
  type OptionName,
  type Options,
  onlyOne,
  timeOf,
  wrongUsage,
} from './command';
import { confirmed, type Desk } from './desk';
import { unknownJob } from './show';

const HELP: Readonly<Record<Verb, string>> = {
  retry: 'run failed or dead jobs at once, behind what waits in their queues',
  promote: 'run scheduled jobs at once, behind what waits in their queues',
  reschedule: 'run retries or scheduled jobs at another time, by --wait or --at',
  kill: 'give retries or scheduled jobs up: they are dead then, and can be retried by hand',
  delete: 'delete retries, scheduled, dead or waiting jobs for good',
};

export const MOVES: readonly JobCommand[] = (Object.keys(HELP) as Verb[]).map((verb) => ({
  name: verb,
  operands: [{ name: 'ID', optional: true, repeated: true, instead: 'all' }],
  options: [...FILTERS, 'all', 'set', 'limit', 'yes', ...(verb === 'reschedule' ? (['wait', 'at'] as const) : [])],
  needs: BOTH,
  help: HELP[verb],
  prepare: ({ operands: ids, options }) => {
    const when = verb === 'reschedule' ? momentOf(options) : () => new Date();
    if (options.all) return prepareAll(verb, ids, options, when);
    if (ids.length === 0) throw wrongUsage(`jobs ${verb} needs ids of jobs, or --all for all of a set.`);
    refuse(
      options,
      ['class', 'tag', 'error', 'text', 'set', 'limit', 'yes'],
      'is for --all: ids say which jobs are meant.',
    );
    const queue = onlyOne('queue', options.queue);
    for (const id of ids) checkRef({ id, queue });
    return (desk) => moveJobs(desk, verb, ids, queue, when());
  },
}));

function prepareAll(verb: Verb, ids: readonly string[], options: Options, when: () => Date) {
  if (ids.length > 0) throw wrongUsage('Give ids or --all, not both.');
  const sets = SETS_OF[verb].filter((set) => set !== 'waiting');
  const set = options.set ?? (sets.length === 1 ? sets[0] : undefined);
  if (set === undefined) throw wrongUsage(`Say which jobs are meant: --set ${sets.join(' or --set ')}.`);
  if (set === 'waiting' && verb === 'delete')
    throw wrongUsage('To delete all that waits in a queue: jobs clear QUEUE.');
  if (set !== 'retry' && set !== 'scheduled' && set !== 'dead')
    throw wrongUsage(`There is no set "${set}" for --all. There are: ${sets.join(', ')}.`);
  if (!sets.includes(set)) throw wrongUsage(`jobs ${verb} is for ${sets.join(' and ')} jobs, not for ${set} ones.`);
  const filter = filterOf(options);
  const limit = numberOf('limit', options.limit);
  return (desk: Parameters<typeof moveAll>[0]) =>
    moveAll(desk, verb, { set, filter, limit, yes: options.yes === true, at: when() });
}

/** @throws UserError for --wait and --at that say no time. */
function momentOf(options: Options): () => Date {
  const time = timeOf(options);
  if (!time) throw wrongUsage('Say when: --wait 5m, or --at 2026-12-24T18:00.');
  return () => ('waitUntil' in time ? time.waitUntil : new Date(Date.now() + Number(time.wait)));
}

function refuse(options: Options, names: readonly OptionName[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given) throw wrongUsage(`--${given} ${why}`);
}

const STATE = {
  waiting: 'waits in its queue',
  active: 'runs at this moment',
  held: 'is held until fewer of its class run',
  retry: 'failed, and will be retried',
  scheduled: 'is scheduled',
  dead: 'is dead',
  unknown: 'is nowhere',
} as const;

interface Refusal {
  readonly id: string;
  readonly reason: string;
}

/** Each job by its id; those that cannot be moved are told of, and hold up no other. */
export async function moveJobs(
  desk: Desk,
  verb: Verb,
  ids: readonly string[],
  queue?: string,
  at = new Date(),
): Promise<Answer> {
  const moved: string[] = [];
  const refused: Refusal[] = [];
  for (const id of new Set(ids)) {
    const reason = await moveOne(desk, verb, { id, queue }, at);
    if (reason === undefined) moved.push(id);
    else refused.push({ id, reason });
  }
  return {
    json: { action: verb, moved, refused },
    text: moved.length === 0 ? '' : `${DONE[verb]} ${pluralize(moved.length, 'job')}.\n`,
    notes: refused.map(({ reason }) => reason),
    ok: refused.length === 0,
  };
}

/** @returns why it was not moved. */
async function moveOne(desk: Desk, verb: Verb, ref: JobRef & object, at: Date): Promise<string | undefined> {
  try {
    const sets = await desk.sets();
    const { place, entry } = await sets.find(ref);
    if (place === 'unknown' || !entry) return await unknownJob(desk, ref.id);
    const move = movesOf(verb, sets, at)[place];
    if (!move) return `Job ${ref.id} ${STATE[place]}: ${instead(verb, place)}.`;
    if (await move.one({ id: ref.id, queue: entry.queue })) return undefined;
    return `Job ${ref.id} has just left the ${place} set: somebody or something was faster.`;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** What the verb is for, and what there is for a job in that place. */
function instead(verb: Verb, place: keyof typeof STATE): string {
  const sets = SETS_OF[verb].map((set) => set).join(' and ');
  const others = (Object.keys(SETS_OF) as Verb[]).filter((other) => SETS_OF[other].some((set) => set === place));
  const hint = others.length === 0 ? '' : `, there is ${others.join(', ')}`;
  return `${verb} is for ${sets} jobs${hint && `; for this one${hint}`}`;
}

export interface AllOfSet {
  readonly set: 'retry' | 'scheduled' | 'dead';
  readonly filter: JobFilter;
  readonly limit: number | undefined;
  /** Nobody is to be asked. */
  readonly yes: boolean;
  /** Of `reschedule`. */
  readonly at: Date;
}

/** Every job of a set that the filter leaves, after asking. Ctrl-C ends it between two chunks. */
export async function moveAll(desk: Desk, verb: Verb, { set, filter, limit, yes, at }: AllOfSet): Promise<Answer> {
  await desk.checkQueues(filter.queue === undefined ? undefined : [filter.queue].flat());
  const sets = await desk.sets();
  const count = Math.min(await sets[set].count(filter), limit ?? Number.POSITIVE_INFINITY);
  if (count === 0) {
    desk.checkClass(filter.class);
    return { json: { action: verb, set, moved: 0, complete: true }, text: `No ${set} job matches.\n` };
  }
  await confirmed(desk, yes, `${verb} ${pluralize(count, `${set} job`)}`);
  const many = movesOf(verb, sets, at)[set]?.many;
  if (!many) throw new UserError(`${verb} is not for ${set} jobs.`);
  const { moved, complete } = await desk.terminal.interruptible((signal) =>
    many(
      { filter },
      { limit, signal, onProgress: (done) => desk.terminal.progress(`${countText(done)} of ${countText(count)}`) },
    ),
  );
  const interrupted = !complete && moved < count;
  return {
    json: { action: verb, set, moved, complete },
    text: `${DONE[verb]} ${pluralize(moved, `${set} job`)}.\n`,
    notes: interrupted ? ['It was interrupted; the same command goes on where it ended.'] : [],
    ok: !interrupted,
  };
}

import { UserError } from '../../core/errors';
import { countText, pluralize } from '../../support/counted';
import { actionsOn, type ListedSet, SETS_BY_ACTION } from '../admin/job-admin';
import { checkRef, type JobAction, type JobFilter, type JobRef } from '../sets/query';
import {
  type Answer,
  type CommandContext,
  checkClass,
  checkQueues,
  confirmed,
  FILTERS,
  type JobCommand,
  type OptionName,
  type Options,
  onlyOne,
  type Run,
  readFilter,
  readNumber,
  suggestion,
  wrongUsage,
} from './command';
import { unknownJob } from './show';

const HELP: Readonly<Record<JobAction, string>> = {
  retry: 'run failed or dead jobs now, after the jobs that wait in their queues',
  promote: 'run scheduled jobs now, after the jobs that wait in their queues',
  rerun: 'enqueue copies of finished jobs, which are new jobs with the same arguments',
  kill: 'move retries or scheduled jobs to the dead set, from where they can be retried by hand',
  delete: 'delete retries, scheduled, dead, finished or waiting jobs for good',
};

const DONE: Readonly<Record<JobAction, string>> = {
  retry: 'Retried',
  promote: 'Promoted',
  rerun: 'Enqueued copies of',
  kill: 'Killed',
  delete: 'Deleted',
};

export const MOVES: readonly JobCommand[] = (Object.keys(SETS_BY_ACTION) as JobAction[]).map((action) => ({
  name: action,
  operands: [{ name: 'ID', optional: true, repeated: true, instead: 'all' }],
  options: [...FILTERS, 'all', 'set', 'limit', 'yes'],
  help: HELP[action],
  prepare: ({ operands: ids, options }) => {
    if (options.all) return prepareAll(action, ids, options);
    if (ids.length === 0) throw wrongUsage(`jobs ${action} needs the ids of jobs, or --all for all jobs of a set.`);
    const onlyForAll: readonly OptionName[] = ['class', 'tag', 'error', 'text', 'set', 'limit', 'yes'];
    const given = onlyForAll.find((name) => options[name] !== undefined);
    if (given) throw wrongUsage(`--${given} is for --all: ids say which jobs are meant.`);
    const queue = onlyOne('queue', options.queue);
    for (const id of ids) checkRef({ id, queue });
    return (context) => moveByIds(context, action, ids, queue);
  },
}));

function prepareAll(action: JobAction, ids: readonly string[], options: Options): Run {
  if (ids.length > 0) throw wrongUsage('Give ids or --all, not both.');
  const sets = SETS_BY_ACTION[action].filter((set) => set !== 'waiting');
  const set = options.set ?? (sets.length === 1 ? sets[0] : undefined);
  if (set === undefined) throw wrongUsage(`Say which jobs are meant: --set ${sets.join(' or --set ')}.`);
  if (set === 'waiting' && action === 'delete')
    throw wrongUsage('To delete all that waits in a queue: jobs clear QUEUE.');
  if (set !== 'retry' && set !== 'scheduled' && set !== 'dead' && set !== 'finished')
    throw wrongUsage(`There is no set "${set}" for --all.${suggestion(set, sets)} There are: ${sets.join(', ')}.`);
  if (!sets.includes(set)) {
    const others = actionsOn(set).map((other) => `jobs ${other}`);
    throw wrongUsage(
      `jobs ${action} is for ${sets.join(' and ')} jobs. For ${set} jobs there are ${others.join(', ')}.`,
    );
  }
  const filter = readFilter(options);
  const limit = readNumber('limit', options.limit);
  return (context) => moveAll(context, action, { set, filter, limit, yes: options.yes === true });
}

interface NotMoved {
  readonly id: string;
  readonly reason: string;
}

/** Moves each job by its id. A job that cannot be moved is reported, and does not stop the others. */
async function moveByIds(
  context: CommandContext,
  action: JobAction,
  ids: readonly string[],
  queue: string | undefined,
): Promise<Answer> {
  const moved: string[] = [];
  const refused: NotMoved[] = [];
  for (const id of new Set(ids)) {
    const reason = await moveOne(context, action, { id, queue });
    if (reason === undefined) moved.push(id);
    else refused.push({ id, reason });
  }
  return {
    json: { action, moved, refused },
    text: moved.length === 0 ? '' : `${DONE[action]} ${pluralize(moved.length, 'job')}.\n`,
    notes: refused.map(({ reason }) => reason),
    ok: refused.length === 0,
  };
}

/** @returns the reason why the job was not moved, or undefined. */
async function moveOne(
  { admin }: CommandContext,
  action: JobAction,
  ref: JobRef & object,
): Promise<string | undefined> {
  try {
    return (await admin.move(action, ref)) ? undefined : unknownJob(ref.id);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

interface AllOfSet {
  readonly set: ListedSet;
  readonly filter: JobFilter;
  readonly limit: number | undefined;
  /** true if no confirmation is needed. */
  readonly yes: boolean;
}

/** Moves every job of a set that matches the filter, after a confirmation. Ctrl-C stops between two chunks. */
async function moveAll(
  context: CommandContext,
  action: JobAction,
  { set, filter, limit, yes }: AllOfSet,
): Promise<Answer> {
  const { admin, terminal } = context;
  await checkQueues(context, filter.queue === undefined ? undefined : [filter.queue].flat());
  const count = Math.min(await (await admin.set(set)).count(filter), limit ?? Number.POSITIVE_INFINITY);
  if (count === 0) {
    checkClass(context, filter.class);
    return { json: { action, set, moved: 0, complete: true }, text: `No ${set} job matches.\n` };
  }
  await confirmed(context, yes, `${action} ${pluralize(count, `${set} job`)}`);
  const onProgress = (done: number) => terminal.progress(`${countText(done)} of ${countText(count)}`);
  const { moved, complete } = await terminal.interruptible((signal) =>
    admin.act(action, set, { filter }, { limit, signal, onProgress }),
  );
  const interrupted = !complete && moved < count;
  return {
    json: { action, set, moved, complete },
    text: `${DONE[action]} ${pluralize(moved, `${set} job`)}.\n`,
    notes: interrupted ? ['It was interrupted; the same command continues where it stopped.'] : [],
    ok: !interrupted,
  };
}

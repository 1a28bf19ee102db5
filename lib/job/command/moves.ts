import { checkRef } from '../set/reference';
import { BOTH, type JobCommand } from './command';
import { moveAll } from './move-all';
import { moveJobs } from './move-jobs';
import { FILTERS, filterOf, numberOf, type OptionName, type Options, onlyOne, timeOf, wrongUsage } from './options';
import { SETS_OF, type Verb } from './verbs';

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

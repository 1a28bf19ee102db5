import { countText, pluralize } from '../../support/counted';
import { toError } from '../../support/to-error';
import { checkReason } from '../definition/cancel-options';
import type { CancelCounts, CancelOutcome } from '../definition/job-class';
import type { CancelFilter } from '../row/cancel';
import type { SetName } from '../sets/entry';
import { checkRef } from '../sets/query';
import {
  type Answer,
  type CommandContext,
  checkClass,
  checkQueues,
  confirmed,
  type JobCommand,
  onlyOne,
  readFilter,
  wrongUsage,
} from './command';
import { unknownJob } from './show';

/** The sets of jobs that can be cancelled. */
const LIVING: readonly SetName[] = ['waiting', 'active', 'blocked', 'retry', 'scheduled'];

export const CANCEL: JobCommand = {
  name: 'cancel',
  operands: [{ name: 'ID', optional: true, repeated: true, instead: 'all' }],
  options: ['all', 'class', 'tag', 'queue', 'reason', 'yes'],
  help: 'cancel jobs: one that waits leaves, one that runs is asked to end, wherever it runs',
  prepare: ({ operands: ids, options }) => {
    const reason = readReason(options.reason);
    const queue = onlyOne('queue', options.queue);
    const { class: name, tag } = readFilter(options);
    if (options.all) {
      if (ids.length > 0) throw wrongUsage('Give ids or --all, not both.');
      if (!name && !tag) throw wrongUsage('jobs cancel --all needs --class or --tag.');
      return (context) => cancelAll(context, { class: name, tag, queue }, reason, options.yes === true);
    }
    if (ids.length === 0) throw wrongUsage('jobs cancel needs the ids of jobs, or --all with --class or --tag.');
    const given = (['class', 'tag', 'yes'] as const).find((each) => options[each] !== undefined);
    if (given) throw wrongUsage(`--${given} is for --all: ids say which jobs are meant.`);
    for (const id of ids) checkRef({ id, queue });
    return (context) => cancelByIds(context, [...new Set(ids)], queue, reason);
  },
};

export function readReason(given: string | undefined): string {
  try {
    return checkReason(given);
  } catch (thrown) {
    throw wrongUsage(`--reason: ${toError(thrown).message}.`);
  }
}

async function cancelByIds(
  context: CommandContext,
  ids: readonly string[],
  queue: string | undefined,
  reason: string,
): Promise<Answer> {
  await checkQueues(context, queue === undefined ? [] : [queue]);
  const jobs: { readonly id: string; readonly outcome: CancelOutcome }[] = [];
  const notes: string[] = [];
  for (const id of ids) {
    const outcome = await context.admin.cancel({ id, queue }, { reason });
    jobs.push({ id, outcome });
    if (outcome === 'gone') notes.push(await whyGone(context, id, queue));
  }
  const count = (wanted: CancelOutcome) => jobs.filter(({ outcome }) => outcome === wanted).length;
  return {
    json: { jobs },
    text: cancelledText({ cancelled: count('cancelled'), requested: count('requested') }),
    notes,
    ok: notes.length === 0,
  };
}

async function whyGone({ admin }: CommandContext, id: string, queue: string | undefined): Promise<string> {
  const { place } = await admin.find({ id, queue });
  return place === 'dead' ? `Job ${id} is dead: to remove it, there is delete.` : unknownJob(id);
}

async function cancelAll(context: CommandContext, filter: CancelFilter, reason: string, yes: boolean): Promise<Answer> {
  const { admin, terminal } = context;
  await checkQueues(context, filter.queue === undefined ? [] : [filter.queue]);
  const counts = await Promise.all(LIVING.map((set) => admin.set(set).count(filter)));
  const count = counts.reduce((sum, each) => sum + each, 0);
  if (count === 0) {
    checkClass(context, filter.class);
    return { json: { cancelled: 0, requested: 0 }, text: 'No job matches.\n' };
  }
  await confirmed(context, yes, `cancel ${pluralize(count, 'job')}`);
  const onProgress = (done: number) => terminal.progress(`${countText(done)} of ${countText(count)}`);
  const { interrupted, ...done } = await terminal.interruptible(async (signal) => {
    return { ...(await admin.cancelAll(filter, { reason, signal, onProgress })), interrupted: signal.aborted };
  });
  return {
    json: done,
    text: cancelledText(done),
    notes: interrupted ? ['It was interrupted; the same command continues where it stopped.'] : [],
    ok: !interrupted,
  };
}

export function cancelledText({ cancelled, requested }: CancelCounts): string {
  const lines = [
    ...(cancelled > 0 ? [`Cancelled ${pluralize(cancelled, 'job')}.`] : []),
    ...(requested > 0 ? [`Asked ${pluralize(requested, 'running job')} to end.`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

import { UserError } from '../../core/errors';
import { countOf, countText } from '../../support/count-text';
import type { JobFilter } from '../set/filter';
import type { Answer } from './command';
import { confirmed, type Desk } from './desk';
import { movesOf, PAST, type Verb } from './verbs';

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
  await confirmed(desk, yes, `${verb} ${countOf(count, `${set} job`)}`);
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
    text: `${PAST[verb]} ${countOf(moved, `${set} job`)}.\n`,
    notes: interrupted ? ['It was interrupted; the same command goes on where it ended.'] : [],
    ok: !interrupted,
  };
}

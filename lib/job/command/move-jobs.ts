import { UserError } from '../../core/errors';
import { countOf } from '../../support/count-text';
import type { JobRef } from '../set/reference';
import { unknownJob } from './closest-id';
import type { Answer } from './command';
import type { Desk } from './desk';
import { movesOf, PAST, SETS_OF, type Verb } from './verbs';

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
    text: moved.length === 0 ? '' : `${PAST[verb]} ${countOf(moved.length, 'job')}.\n`,
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

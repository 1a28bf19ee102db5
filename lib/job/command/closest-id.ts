import { closest } from '../../support/closest';
import type { Desk } from './desk';

/** Jobs of each set that a mistyped id is compared with. */
const LOOKED_AT = 500;

/** The id that was probably meant. */
export async function closestId(desk: Desk, id: string): Promise<string | undefined> {
  const sets = await desk.sets();
  const request = { limit: LOOKED_AT, count: false };
  const pages = await Promise.all([sets.retry, sets.dead, sets.scheduled].map((set) => set.page(request)));
  const busy = (await desk.processes.list()).flatMap((process) => process.busy);
  const ids = [...pages.flatMap((page) => page.entries), ...busy].map((job) => job.id);
  return closest(id, ids);
}

/** What to say of an id that is nowhere. */
export async function unknownJob(desk: Desk, id: string): Promise<string> {
  const near = await closestId(desk, id);
  const meant = near === undefined ? '' : ` Did you mean ${near}?`;
  return `There is no job ${id}: it has ended well, or was deleted, or never was.${meant}`;
}

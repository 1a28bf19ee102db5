import { isUuid } from '../outbox/outbox';
import { describeJob, describeRow, type JobEntry, type SetName } from './entry';
import { type Sighting, sight } from './find-script';
import { InvalidRequestError } from './invalid-request';
import { checkRef, type JobRef } from './reference';
import { isRetrying } from './rewrites';
import { findRow } from './scheduled-rows';
import type { SetSources } from './sources';

/** Where a job is. `unknown`: it has ended well, or was deleted, or never was. */
export interface FoundPlace {
  readonly place: SetName | 'unknown';
  readonly entry: JobEntry | undefined;
  /** How many come before it in its queue, while it waits there. */
  readonly ahead: number | undefined;
}

const UNKNOWN: FoundPlace = { place: 'unknown', entry: undefined, ahead: undefined };

/**
 * @throws InvalidRequestError for what cannot be an id, and for an id that several queues know when none is named.
 */
export async function findJob(
  { redis, knex, queues }: Pick<SetSources, 'redis' | 'knex' | 'queues'>,
  ref: JobRef,
): Promise<FoundPlace> {
  const { id, queue } = checkRef(ref);
  const row = isUuid(id) ? await findRow(knex, id) : undefined;
  const known = queue === undefined ? [...new Set([...queues, ...(row ? [row.queue] : [])])] : [queue];
  const sightings = await sight(redis, known, id);
  const sighting = onlyOne(
    id,
    sightings.filter((seen) => seen.place !== 'nowhere'),
  );
  if (sighting) return describeSighting(id, sighting);
  if (!row || (queue !== undefined && row.queue !== queue)) return UNKNOWN;
  // Due, and about to be copied to Redis; or Redis has lost it, and the reconciler has yet to notice.
  const set = row.isDue ? 'waiting' : 'scheduled';
  const at = new Date(row.at / 1000);
  return { place: set, entry: describeRow({ ...row, set, at }), ahead: undefined };
}

function describeSighting(id: string, { place, queue, score, text, progress }: Sighting): FoundPlace {
  const set: SetName | undefined =
    place === 'delayed' ? (isRetrying(text) ? 'retry' : 'scheduled') : place === 'nowhere' ? undefined : place;
  if (!set) return UNKNOWN;
  const at = place === 'dead' || place === 'delayed' ? new Date(score) : undefined;
  const entry = describeJob({ id, queue, set, at, text, progress });
  return { place: set, entry, ahead: place === 'waiting' ? score : undefined };
}

function onlyOne(id: string, sightings: readonly Sighting[]): Sighting | undefined {
  if (sightings.length < 2) return sightings[0];
  const queues = sightings.map((seen) => seen.queue).join(', ');
  throw new InvalidRequestError(`job ${id} is in several queues (${queues}): say which one is meant`);
}

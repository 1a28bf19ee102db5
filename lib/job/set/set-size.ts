import { checkFilter, luaFilter } from './filter';
import { setWalker, sizeOf } from './page-script';
import { rowCondition } from './row-filter';
import { countRows } from './scheduled-rows';
import type { SetSources } from './sources';
import { countWalk } from './walk';

/**
 * How many jobs a set has, at a price that one can pay every second, and without the code that moves them. A delayed job
 * of a plain bee-queue producer counts as a retry if its id is a UUID.
 */
export async function sizeOfSet(
  name: 'retry' | 'scheduled' | 'dead',
  sources: Pick<SetSources, 'redis' | 'knex' | 'queues'>,
): Promise<number> {
  if (name !== 'scheduled') return sizeInRedis(name, sources);
  return (await sizeInRedis(name, sources)) + (await countRows(sources.knex, rowCondition(checkFilter({}))));
}

/** The part of it that is in Redis: `delayed` holds two sets, so its records are looked at. */
export async function sizeInRedis(
  name: 'retry' | 'scheduled' | 'dead',
  { redis, queues }: Pick<SetSources, 'redis' | 'queues'>,
): Promise<number> {
  const walk = { newestFirst: false, queues: [...new Set(queues)].sort() };
  if (name === 'dead') return sizeOf(redis, { ...walk, key: 'dead', filter: '' });
  const filter = luaFilter(checkFilter({}), { retrying: name === 'retry', trustIds: true });
  return (await countWalk(setWalker(redis, { ...walk, key: 'delayed', filter }))).total;
}

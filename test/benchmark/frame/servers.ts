import type { Served } from './served';

/** One after the other, so that none is in the way of another's start. Of a start that fails nothing is left. */
export async function startAll<K extends string>(
  names: readonly K[],
  start: (name: K) => Promise<Served>,
): Promise<Record<K, Served>> {
  const started = new Map<K, Served>();
  try {
    for (const name of names) started.set(name, await start(name));
  } catch (error) {
    await stopAll(Object.fromEntries(started));
    throw error;
  }
  return Object.fromEntries(started) as Record<K, Served>;
}

export async function stopAll(servers: Readonly<Record<string, Served>>): Promise<void> {
  await Promise.all(Object.values(servers).map((server) => server.stop()));
}

import type { RedisClient } from '../core/redis';

export interface RedisFacts {
  readonly version: string;
  readonly usedBytes: number;
  /** 0: no limit. */
  readonly maxBytes: number;
  readonly clients: number;
  readonly maxClients: number;
  /** What it does when it is full; anything but `noeviction` loses jobs then. */
  readonly policy: string;
  readonly pingMs: number;
}

/** @throws what Redis does. */
export async function readRedis(client: RedisClient): Promise<RedisFacts> {
  const begun = performance.now();
  await client.ping();
  const pingMs = performance.now() - begun;
  const fields = new Map<string, string>();
  const texts = await Promise.all(['server', 'memory', 'clients'].map((section) => client.info(section)));
  for (const line of texts.join('\n').split(/\r?\n/)) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const number = (name: string) => Number(fields.get(name) ?? 0);
  return {
    version: fields.get('redis_version') ?? '',
    usedBytes: number('used_memory'),
    maxBytes: number('maxmemory'),
    clients: number('connected_clients'),
    maxClients: number('maxclients'),
    policy: fields.get('maxmemory_policy') ?? 'noeviction',
    pingMs,
  };
}

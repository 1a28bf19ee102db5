import { redisPlace } from './redis-url';
import { REDIS_URL, redisUrl, type SettingsReader } from './settings-reader';

const NAME = 'REDIS_SHARDS';
const FORM = 'queue=URL for each queue, separated by spaces, such as mailer=redis://b:6379 reports=rediss://c:6380';

interface ShardContext {
  /** The Redis of all other queues; null when it is not given. */
  readonly home: string | null;
  /** Adds the parameters that all Redis URLs share. */
  readonly complete: (url: string) => string;
}

/**
 * Reads REDIS_SHARDS: the servers of queues that do not live on REDIS_URL. White space, which no URL has, separates them.
 * @returns the URLs by queue.
 */
export function readShards(read: SettingsReader, { home, complete }: ShardContext): Readonly<Record<string, string>> {
  const shards = new Map<string, string>();
  const places = new Map(home === null ? [] : [[serverOf(home), 'REDIS_URL']]);
  for (const entry of (read.raw(NAME) ?? '').split(/\s+/)) {
    const [, queue = '', text = ''] = /^([A-Za-z0-9_-]+)=(.+)$/s.exec(entry) ?? [];
    const parsed = redisUrl.safeParse(text);
    // Neither the login nor the host is shown: the latter may be a part of a password with an unescaped character.
    const shown = queue === '' ? `<${entry.length} characters>` : `${queue}=${/^[a-z+]+:\/\//i.exec(text)?.[0] ?? ''}…`;
    const complain = (allowed: string) => read.complain(NAME, shown, allowed);
    if (queue === '') complain(FORM);
    else if (!parsed.success) complain(`${FORM}; the URL is ${REDIS_URL}`);
    else if (shards.has(queue)) complain(`one URL for each queue: ${queue} is named twice`);
    else {
      const other = places.get(serverOf(parsed.data));
      if (other !== undefined && other !== parsed.data)
        complain(`another server than that of ${other === 'REDIS_URL' ? other : 'another queue, or its same URL'}`);
      places.set(serverOf(parsed.data), parsed.data);
      shards.set(queue, complete(parsed.data));
    }
  }
  return Object.fromEntries(shards);
}

/** @returns the server and database of a URL, since two URLs of the same ones must not count as two servers. */
function serverOf(url: string): string {
  const { port, protocol, pathname } = new URL(url);
  const place = redisPlace(url) + (port === '' && !protocol.includes('sentinel') ? ':6379' : '');
  return `${place}/${pathname.replace(/^\//, '') || '0'}`;
}

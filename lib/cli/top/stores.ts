import type { TreePicture } from '../../cluster/tree-picture';
import { environment } from '../../core/environment';
import { toError } from '../../core/errors';
import { Events } from '../../core/events';
import { Redis } from '../../core/redis';
import { readSettings } from '../../core/settings';
import { type ListedQueue, Queues } from '../../job/queue/queues';
import { JobSets } from '../../job/set/job-sets';
import { Database } from '../../model/database';
import { settledUrls } from '../../role/settled-urls';
import { Deadline } from '../../support/deadline';
import { Lookout, type Sighting } from '../../verdict/lookout';

/** What Redis and Postgres tell. What is not known is undefined. */
export interface Stores {
  readonly queues: readonly ListedQueue[] | undefined;
  readonly retry: number | undefined;
  readonly scheduled: number | undefined;
  readonly dead: number | undefined;
  /** undefined: neither could be asked. */
  readonly sighting: Sighting | undefined;
  /** Why nothing is known. */
  readonly trouble: string | undefined;
}

export const NO_STORES: Stores = {
  queues: undefined,
  retry: undefined,
  scheduled: undefined,
  dead: undefined,
  sighting: undefined,
  trouble: undefined,
};

const STOP_MS = 1000;
/** For Redis to take the connection, ms. */
const READY_MS = 3000;

interface Connections {
  readonly redis: Redis;
  readonly database: Database;
  readonly queues: readonly string[];
  readonly events: Events;
  readonly lookout: Lookout;
}

/** Reads queues and sets, with the settings of the shell that it runs in, or the embedded servers of the tree's folder. */
export class StoreReader {
  private connecting: Promise<Connections> | undefined;

  /** @param cwd the tree's folder. @param look how the tree is by now. */
  constructor(
    private readonly cwd: string,
    private readonly look: () => Promise<TreePicture>,
  ) {}

  /** Never rejects. */
  async read(): Promise<Stores> {
    try {
      this.connecting ??= connect(this.cwd, this.look);
      return await readAll(await this.connecting);
    } catch (thrown) {
      this.connecting = undefined;
      const [first = '', second = ''] = toError(thrown).message.split('\n');
      return { ...NO_STORES, trouble: `${first} ${second.trim()}`.trim() };
    }
  }

  async stop(): Promise<void> {
    const connections = await this.connecting?.catch(() => undefined);
    const deadline = Deadline.after(STOP_MS);
    await Promise.allSettled([connections?.redis.stop(deadline), connections?.database.stop(deadline)]);
  }
}

async function connect(cwd: string, look: () => Promise<TreePicture>): Promise<Connections> {
  const config = readSettings({ env: environment(), cwd });
  const urls = await settledUrls(config);
  const events = new Events();
  const production = config.environment === 'production';
  const redis = new Redis(urls.redis, events);
  const database = new Database(urls.database, { production, events, poolMax: 1 });
  const ready = events.next('redis.ready');
  await redis.start();
  // It goes on trying by itself.
  await Deadline.after(READY_MS).wait(ready);
  const lookout = new Lookout({ tree: { look }, redis, knex: database.knex, events, config });
  return { redis, database, events, lookout, queues: config.jobs.queues.map((queue) => queue.name) };
}

async function readAll({
  redis: { client },
  database: { knex },
  events,
  queues,
  lookout,
}: Connections): Promise<Stores> {
  const sighting = await lookout.look();
  if (!client.isReady) return { ...NO_STORES, sighting, trouble: 'Redis does not answer' };
  const sources = { redis: client, knex, events, via: 'top' };
  const names = await new Queues({ ...sources, queues }).names();
  const sets = new JobSets({ ...sources, queues: names });
  const unknown = () => undefined;
  const [listed, retry, scheduled, dead] = await Promise.all([
    new Queues({ ...sources, queues }).list(names).catch(unknown),
    sets.retry.size().catch(unknown),
    sets.scheduled.size().catch(unknown),
    sets.dead.size().catch(unknown),
  ]);
  return { queues: listed, retry, scheduled, dead, sighting, trouble: listed ? undefined : 'Redis does not answer' };
}

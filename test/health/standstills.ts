import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { catamountWith } from '../cluster/primary/operator';
import { buildFixtureApp } from '../support/fixture-app';
import { startTestRedis } from '../support/redis';
import { AT_ONCE, replicate } from '../support/replicated-redis';
import { until } from '../support/until';
import { IllTree, type Injection, PASSWORD } from './ill-tree';

/** Time within which /ready, /ops and the log all report a standstill, s: measured by `npm run chaos -- long --only standstills`. */
export const PROMISED_S = 15;

/** Redis holds hints only, so jobs go on without it. */
const REDIS_AWAY = {
  ready: /"broken":\["redis"\]/,
  codes: ['redisAway'],
  jobsGoOn: true,
} as const;
const POSTGRES_AWAY = {
  ready: /"down":\["postgres"\]|"jobs":"stalled"/,
  codes: ['postgresAway', 'stalled'],
  log: /Postgres does not answer|stands still/,
} as const;
const stalled = (words: RegExp) => ({
  ready: new RegExp(`"jobs":"stalled".*${words.source}`),
  log: new RegExp(`stands still.*${words.source}`),
  codes: ['stalled'],
});

const JOBS_STAND = /fetching jobs|looking for jobs that are due|enqueuing recurring jobs/;

const command =
  (...args: string[]) =>
  ({ admin }: IllTree) =>
    admin.sendCommand(args);

/** Changes a setting of Redis with one command, and back with another. @param kills whether all other connections are closed. */
function byCommand(change: readonly string[], back: readonly string[], kills = false): Injection['inject'] {
  return async (ill) => {
    await command(...change)(ill);
    // A connection that also subscribes is of another type.
    for (const type of kills ? ['normal', 'pubsub'] : [])
      await command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')(ill);
    return () => command(...back)(ill);
  };
}

function bySql(change: (ill: IllTree) => string, back: (ill: IllTree) => string, kills = false): Injection['inject'] {
  return async (ill) => {
    await ill.database.query(change(ill));
    if (kills) await ill.endConnections();
    return () => ill.database.query(back(ill));
  };
}

function byWay(way: keyof IllTree['ways'], how: 'down' | 'hold', signsUp = false): Injection['inject'] {
  return async (ill) => {
    await ill.ways[way][how]();
    if (signsUp) await ill.signUp();
    return async () => {
      await ill.ways[way].up();
      // The refused mail waits for its job's retry; another one shows at once that the server is back.
      if (signsUp) await ill.signUp();
    };
  };
}

const OF_REDIS: readonly Injection[] = [
  {
    name: 'Redis becomes a replica',
    inject: byCommand(['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']),
    ...REDIS_AWAY,
    ready: /"reason":"[^"]*Redis is a replica now/,
    log: /replica|READONLY/,
  },
  {
    name: 'Redis has no memory left',
    inject: byCommand(['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']),
    ready: /"status":"ok"/,
    log: /OOM/,
    codes: ['redisFull'],
    jobsGoOn: true,
  },
  {
    name: 'Redis cannot save to its disk',
    inject: async (ill) => {
      // A folder with the name of its file is in the way.
      const obstacle = path.join(ill.redis.folder, 'dump.rdb');
      fs.mkdirSync(obstacle);
      await command('CONFIG', 'SET', 'save', '3600 1')(ill);
      await command('BGSAVE')(ill);
      return () => {
        fs.rmdirSync(obstacle);
        return command('CONFIG', 'SET', 'save', '')(ill);
      };
    },
    ...REDIS_AWAY,
    ready: /"reason":"[^"]*Redis cannot write to its disk/,
    log: /MISCONF/,
  },
  {
    name: 'Redis has lost its replicas',
    inject: byCommand(['CONFIG', 'SET', 'min-replicas-to-write', '1'], ['CONFIG', 'SET', 'min-replicas-to-write', '0']),
    ...REDIS_AWAY,
    ready: /"reason":"[^"]*Redis has lost its primary or its replicas/,
    log: /NOREPLICAS/,
  },
  {
    name: 'the replica of Redis lags behind',
    inject: async (ill) => {
      const replica = await startTestRedis(...AT_ONCE);
      await replicate(replica, ill.redis);
      // Redis 6.2 accepts one setting per command.
      await command('CONFIG', 'SET', 'min-replicas-max-lag', '2')(ill);
      await command('CONFIG', 'SET', 'min-replicas-to-write', '1')(ill);
      replica.pause();
      const refuses = async () => /NOREPLICAS/.test(String(await ill.admin.set('lag', '1').catch(String)));
      await until('Redis refuses writes', refuses);
      return async () => {
        replica.resume();
        await until('all is well while there is a replica', () => ill.isWell());
        await command('CONFIG', 'SET', 'min-replicas-to-write', '0')(ill);
        await replica.remove();
      };
    },
    ...REDIS_AWAY,
    ready: /"reason":"[^"]*Redis has lost its primary or its replicas/,
    log: /NOREPLICAS/,
  },
  {
    name: 'Redis pauses writes',
    inject: byCommand(['CLIENT', 'PAUSE', '600000', 'WRITE'], ['CLIENT', 'UNPAUSE']),
    ...REDIS_AWAY,
    log: /not reachable/,
  },
  {
    name: 'Redis is frozen',
    inject: (ill) => {
      ill.redis.pause();
      return () => ill.redis.resume();
    },
    ...REDIS_AWAY,
    log: /not reachable/,
  },
  {
    name: 'the password of Redis has changed',
    inject: byCommand(['CONFIG', 'SET', 'requirepass', 'rotated'], ['CONFIG', 'SET', 'requirepass', ''], true),
    ...REDIS_AWAY,
    log: /NOAUTH|not reachable/,
  },
  {
    name: 'Redis denies scripts',
    inject: byCommand(
      ['ACL', 'SETUSER', 'default', '-evalsha', '-eval'],
      ['ACL', 'SETUSER', 'default', '+evalsha', '+eval'],
    ),
    ready: /"status":"ok"/,
    log: /NOPERM/,
    codes: [],
    jobsGoOn: true,
  },
  {
    name: 'Redis takes no more connections',
    inject: byCommand(['CONFIG', 'SET', 'maxclients', '1'], ['CONFIG', 'SET', 'maxclients', '10000'], true),
    ...REDIS_AWAY,
    log: /max number of clients|not reachable/,
  },
  {
    name: 'the user of Redis is disabled',
    inject: byCommand(['ACL', 'SETUSER', 'default', 'off'], ['ACL', 'SETUSER', 'default', 'on'], true),
    ...REDIS_AWAY,
    log: /NOAUTH|WRONGPASS|not reachable/,
  },
  {
    name: 'a script of another client does not end',
    inject: async (ill) => {
      await command('CONFIG', 'SET', 'lua-time-limit', '100')(ill);
      const { end } = await ill.runForEver('while true do end');
      return async () => {
        await command('SCRIPT', 'KILL')(ill);
        end();
      };
    },
    ...REDIS_AWAY,
    log: /BUSY|not reachable/,
  },
  { name: 'Redis is down', inject: byWay('redis', 'down'), ...REDIS_AWAY, log: /not reachable/ },
  { name: 'packets to Redis are dropped', inject: byWay('redis', 'hold'), ...REDIS_AWAY, log: /not reachable/ },
];

const OF_POSTGRES: readonly Injection[] = [
  {
    name: 'the table of jobs is missing',
    inject: bySql(
      () => 'alter table job_queue rename to job_queue_away',
      () => 'alter table job_queue_away rename to job_queue',
    ),
    ...stalled(JOBS_STAND),
    log: /stands still.*job_queue/,
  },
  {
    name: 'Postgres has no connection left',
    inject: bySql(
      ({ role }) => `alter role ${role} connection limit 0`,
      ({ role }) => `alter role ${role} connection limit -1`,
      true,
    ),
    ...POSTGRES_AWAY,
  },
  {
    name: 'the password of Postgres has changed',
    inject: bySql(
      ({ role }) => `alter role ${role} password 'rotated'`,
      ({ role }) => `alter role ${role} password '${PASSWORD}'`,
      true,
    ),
    ...POSTGRES_AWAY,
  },
  {
    name: 'Postgres has become read-only',
    inject: bySql(
      ({ name }) => `alter database ${name} set default_transaction_read_only = on`,
      ({ name }) => `begin read write; alter database ${name} reset default_transaction_read_only; commit`,
      true,
    ),
    ...stalled(/Postgres is read-only/),
    codes: ['postgresReadOnly'],
  },
  {
    name: 'the role of Postgres may no longer log in',
    inject: bySql(
      ({ role }) => `alter role ${role} nologin`,
      ({ role }) => `alter role ${role} login`,
      true,
    ),
    ...POSTGRES_AWAY,
  },
  {
    name: 'the table of jobs has another owner',
    inject: bySql(
      () => 'alter table job_queue owner to current_user',
      ({ role }) => `alter table job_queue owner to ${role}`,
    ),
    ...stalled(JOBS_STAND),
    log: /stands still.*permission denied/,
  },
  {
    name: 'another session has locked the table of jobs',
    inject: (ill) => ill.lock('lock table job_queue in access exclusive mode'),
    ...stalled(JOBS_STAND),
  },
  {
    name: 'another session has locked the rows of recurring jobs',
    inject: (ill) => ill.lock('select 1 from job_cron for update'),
    ...stalled(/locked the row of a recurring job/),
  },
  {
    name: 'the LISTEN connection is down',
    inject: byWay('direct', 'down'),
    ...stalled(/listening for new jobs stands still/),
    log: /listening for new jobs stands still/,
  },
  {
    // The recurring job is committed every second, but the listener hears nothing of it.
    name: 'packets of the LISTEN connection are dropped',
    inject: byWay('direct', 'hold'),
    ...stalled(/listening for new jobs stands still: there is no answer/),
    log: /listening for new jobs stands still: there is no answer/,
  },
  { name: 'Postgres is down', inject: byWay('postgres', 'down'), ...POSTGRES_AWAY },
  { name: 'Postgres is silent', inject: byWay('postgres', 'hold'), ...POSTGRES_AWAY },
];

/** Causes that are there before a job processor starts. */
const AT_THE_START = [
  'Redis becomes a replica',
  'Redis is frozen',
  'the password of Redis has changed',
  'the table of jobs is missing',
  'Postgres has no connection left',
  'Postgres is silent',
];

/** The same causes, each there before a job processor starts. */
function atTheStart(causes: readonly Injection[]): Injection[] {
  return causes
    .filter(({ name }) => AT_THE_START.includes(name))
    .map(
      ({ name, inject, ...told }): Injection => ({
        ...told,
        name: `a job processor starts while ${name}`,
        inject: async (ill) => {
          const cure = await inject(ill);
          ill.killProcessor();
          return cure;
        },
        ...(told.jobsGoOn !== true && { log: /stands still/ }),
      }),
    );
}

const OF_STARTS: readonly Injection[] = [
  ...atTheStart(OF_POSTGRES),
  {
    name: 'a job processor does not finish booting',
    inject: async (ill) => {
      const pid = await ill.successorOf(ill.killProcessor());
      process.kill(pid, 'SIGSTOP');
      return () => process.kill(pid, 'SIGCONT');
    },
    ...stalled(/it is still booting/),
  },
];

const OF_CODE: readonly Injection[] = [
  {
    name: 'a job blocks the event loop',
    inject: async (ill) => {
      const enough = path.join(ill.folder, 'enough');
      const { status } = await ill.tree.request('POST', `/blocking?until=${encodeURIComponent(enough)}`);
      assert.equal(status, 202);
      return () => fs.writeFileSync(enough, '');
    },
    ...stalled(/does not answer/),
    codes: ['jobsUnresponsive'],
  },
];

const ROOT = path.resolve(__dirname, '../..');
const urlsOf = ({ database, redis }: IllTree) => ({ DATABASE_URL: database.url, REDIS_URL: redis.url });
const catamount = (ill: IllTree, ...args: string[]) => catamountWith(urlsOf(ill), ill.tree.cwd, ...args);

const OF_JOBS: readonly Injection[] = [
  { name: 'the mail server is silent', inject: byWay('smtp', 'hold', true), ...stalled(/no answer/) },
  {
    name: 'the mail server is down',
    inject: byWay('smtp', 'down', true),
    ...stalled(/cannot be reached/),
    ready: /sending mail stands still/,
  },
  {
    name: 'the job processor is frozen',
    inject: ({ processor }) => {
      process.kill(processor, 'SIGSTOP');
      return () => process.kill(processor, 'SIGCONT');
    },
    ...stalled(/does not answer/),
    codes: ['jobsUnresponsive'],
  },
  {
    name: 'an operator has paused a queue in which jobs wait',
    inject: async (ill) => {
      const jobs = (...args: string[]) => catamountWith(urlsOf(ill), ROOT, 'jobs', ...args);
      const { code, stderr } = await jobs('pause', 'mailer');
      assert.equal(code, 0, stderr);
      await ill.signUp();
      return () => jobs('resume', 'mailer');
    },
    ...stalled(/an operator has paused the queue/),
    codes: ['paused', 'stalled'],
  },
  {
    name: 'the job processor is quiet while jobs wait',
    inject: async (ill) => {
      assert.equal((await catamount(ill, 'jobs', 'quiet')).code, 0);
      await ill.signUp();
      return () => catamount(ill, 'jobs', 'resume');
    },
    ...stalled(/to be quiet/),
    codes: ['jobsQuiet'],
  },
];

/**
 * Each tree goes through the causes of its list, one after the other. In the deep tier the trees do so in parallel, and how soon
 * a cause is reported is not asserted, since that depends on the machine.
 * @param promisedS time within which each must be reported, s; the trees then run one after the other, too.
 */
export function standstills(promisedS?: number): void {
  const lists = {
    redis: [...OF_REDIS, ...atTheStart(OF_REDIS)],
    postgres: [...OF_POSTGRES, ...OF_CODE],
    starts: OF_STARTS,
    jobs: OF_JOBS,
  };

  describe(`standstills: each is reported with its cause${promisedS === undefined ? '' : ` within ${promisedS} s`}, and clears with it`, () => {
    const outcomes = new Map<string, Promise<number>>();
    const trees: Promise<IllTree>[] = [];
    before(async () => {
      const entry = await buildFixtureApp('jobs-app');
      let before: Promise<unknown> = Promise.resolve();
      for (const [name, list] of Object.entries(lists)) {
        // The sample app sends mails; the other one has a recurring job each second.
        const make = () => IllTree.make(name === 'jobs' || name === 'redis' ? {} : { entry });
        const tree = promisedS === undefined ? make() : before.then(make);
        trees.push(tree);
        let last: Promise<unknown> = tree;
        for (const injection of list) {
          const outcome = last.then(async () => (await tree).suffers(injection));
          outcomes.set(injection.name, outcome);
          outcome.catch(() => undefined);
          last = outcome.catch(() => undefined);
        }
        before = last;
      }
    });
    after(async () => {
      // All causes are injected, even those whose test --grep leaves out.
      await Promise.allSettled(outcomes.values());
      await Promise.all(trees.map((tree) => tree.then((made) => made.remove())));
    });

    for (const { name } of Object.values(lists).flat())
      it(name, async function () {
        const ms = await outcomes.get(name);
        assert.ok(ms !== undefined && ms > 0);
        const seconds = Math.round(ms / 100) / 10;
        this.runnable().title += `, reported after ${seconds.toFixed(1)} s`;
        if (promisedS !== undefined) assert.ok(seconds <= promisedS, `it was reported after ${seconds} s`);
      });
  });
}

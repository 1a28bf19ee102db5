import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { catamountWith } from '../cluster/primary/operator';
import { buildFixtureApp } from '../support/fixture-app';
import { type Fault, FaultyTree, PASSWORD } from './faulty-tree';

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
  ({ admin }: FaultyTree) =>
    admin.sendCommand(args);

/** Changes a setting of Redis with one command, and back with another. @param kills whether all other connections are closed. */
function byCommand(change: readonly string[], back: readonly string[], kills = false): Fault['inject'] {
  return async (faulty) => {
    await command(...change)(faulty);
    // A connection that also subscribes is of another type.
    for (const type of kills ? ['normal', 'pubsub'] : [])
      await command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')(faulty);
    return () => command(...back)(faulty);
  };
}

function bySql(
  change: (faulty: FaultyTree) => string,
  back: (faulty: FaultyTree) => string,
  kills = false,
): Fault['inject'] {
  return async (faulty) => {
    await faulty.database.query(change(faulty));
    if (kills) await faulty.endConnections();
    return () => faulty.database.query(back(faulty));
  };
}

function byWay(way: keyof FaultyTree['proxies'], how: 'down' | 'hold', signsUp = false): Fault['inject'] {
  return async (faulty) => {
    await faulty.proxies[way][how]();
    if (signsUp) await faulty.signUp();
    return async () => {
      await faulty.proxies[way].up();
      // The refused mail waits for its job's retry; another one shows at once that the server is back.
      if (signsUp) await faulty.signUp();
    };
  };
}

const OF_REDIS: readonly Fault[] = [
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
    inject: async (faulty) => {
      // A folder with the name of its file is in the way.
      const obstacle = path.join(faulty.redis.folder, 'dump.rdb');
      fs.mkdirSync(obstacle);
      await command('CONFIG', 'SET', 'save', '3600 1')(faulty);
      await command('BGSAVE')(faulty);
      return () => {
        fs.rmdirSync(obstacle);
        return command('CONFIG', 'SET', 'save', '')(faulty);
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
    name: 'Redis pauses writes',
    inject: byCommand(['CLIENT', 'PAUSE', '600000', 'WRITE'], ['CLIENT', 'UNPAUSE']),
    ...REDIS_AWAY,
    log: /not reachable/,
  },
  {
    name: 'Redis is frozen',
    inject: (faulty) => {
      faulty.redis.pause();
      return () => faulty.redis.resume();
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
    name: 'a script of another client does not end',
    inject: async (faulty) => {
      await command('CONFIG', 'SET', 'lua-time-limit', '100')(faulty);
      const { end } = await faulty.runForEver('while true do end');
      return async () => {
        await command('SCRIPT', 'KILL')(faulty);
        end();
      };
    },
    ...REDIS_AWAY,
    log: /BUSY|not reachable/,
  },
  { name: 'Redis is down', inject: byWay('redis', 'down'), ...REDIS_AWAY, log: /not reachable/ },
];

const OF_POSTGRES: readonly Fault[] = [
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
    inject: (faulty) => faulty.lock('lock table job_queue in access exclusive mode'),
    ...stalled(JOBS_STAND),
    codes: ['stalled', 'locked'],
  },
  {
    name: 'another session has locked the rows of recurring jobs',
    inject: (faulty) => faulty.lock('select 1 from job_cron for update'),
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
const AT_THE_START = ['Redis is frozen', 'the table of jobs is missing', 'Postgres is silent'];

/** The same causes, each there before a job processor starts. */
function atTheStart(causes: readonly Fault[]): Fault[] {
  return causes
    .filter(({ name }) => AT_THE_START.includes(name))
    .map(
      ({ name, inject, ...told }): Fault => ({
        ...told,
        name: `a job processor starts while ${name}`,
        inject: async (faulty) => {
          const undo = await inject(faulty);
          faulty.killProcessor();
          return undo;
        },
        ...(told.jobsGoOn !== true && { log: /stands still/ }),
      }),
    );
}

const OF_STARTS: readonly Fault[] = [
  ...atTheStart(OF_POSTGRES),
  {
    name: 'a job processor does not finish booting',
    inject: async (faulty) => {
      const pid = await faulty.successorOf(faulty.killProcessor());
      process.kill(pid, 'SIGSTOP');
      return () => process.kill(pid, 'SIGCONT');
    },
    ...stalled(/it is still booting/),
  },
];

const OF_CODE: readonly Fault[] = [
  {
    name: 'a job blocks the event loop',
    inject: async (faulty) => {
      const enough = path.join(faulty.folder, 'enough');
      const { status } = await faulty.tree.request('POST', `/blocking?until=${encodeURIComponent(enough)}`);
      assert.equal(status, 202);
      return () => fs.writeFileSync(enough, '');
    },
    ...stalled(/does not answer/),
    codes: ['jobsUnresponsive'],
  },
];

const ROOT = path.resolve(__dirname, '../..');
const urlsOf = ({ database, redis }: FaultyTree) => ({ DATABASE_URL: database.url, REDIS_URL: redis.url });
const catamount = (faulty: FaultyTree, ...args: string[]) => catamountWith(urlsOf(faulty), faulty.tree.cwd, ...args);

const OF_JOBS: readonly Fault[] = [
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
    inject: async (faulty) => {
      const jobs = (...args: string[]) => catamountWith(urlsOf(faulty), ROOT, 'jobs', ...args);
      const { code, stderr } = await jobs('pause', 'mailer');
      assert.equal(code, 0, stderr);
      await faulty.signUp();
      return () => jobs('resume', 'mailer');
    },
    ...stalled(/an operator has paused the queue/),
    codes: ['paused', 'stalled'],
  },
  {
    name: 'the job processor is quiet while jobs wait',
    inject: async (faulty) => {
      assert.equal((await catamount(faulty, 'jobs', 'quiet')).code, 0);
      await faulty.signUp();
      return () => catamount(faulty, 'jobs', 'resume');
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
    const trees: Promise<FaultyTree>[] = [];
    before(async () => {
      const entry = await buildFixtureApp('jobs-app');
      let before: Promise<unknown> = Promise.resolve();
      for (const [name, list] of Object.entries(lists)) {
        // The sample app sends mails; the other one has a recurring job each second.
        const make = () => FaultyTree.make(name === 'jobs' || name === 'redis' ? {} : { entry });
        const tree = promisedS === undefined ? make() : before.then(make);
        trees.push(tree);
        let last: Promise<unknown> = tree;
        for (const injection of list) {
          const outcome = last.then(async () => (await tree).reports(injection));
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

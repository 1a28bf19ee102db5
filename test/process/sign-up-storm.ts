import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createClient } from 'redis';
import { dice } from '../support/dice';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { serverPort } from '../support/server-port';
import { UNLIMITED } from '../support/sign-up-limits';
import { startTree, type Tree } from '../support/tree';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { explainDoubles } from './explained-doubles';
import { type LoggedJob, MailLedger } from './mail-ledger';
import { signUp, somebody } from './sign-ups';

export interface StormOptions {
  /** Number of sign-ups that are answered 201 or cut off. */
  readonly users: number;
  /** Number of kills meanwhile, including those that empty Redis. */
  readonly blows: number;
  readonly seed: number;
  /** Number of times that Redis is emptied. */
  readonly wipes: number;
}

type Victim = 'processor' | 'worker 0' | 'worker 1' | 'redis' | 'redis, emptied';

interface Blow {
  readonly victim: Victim;
  /** Time of the blow, as `performance.now()`. */
  readonly at: number;
}

/**
 * A job that was running when three processors died rightly counts as poison. Therefore the next processor is killed only
 * when the jobs of the last one are done: they run first, so they are done when this many more mails have arrived.
 */
const DONE_BY_THEN = 6;
/** Concurrent sign-ups over HTTP. */
const AT_ONCE = 8;
/** Retries of jobs are delayed, and 10,000 mails take some time. */
const SETTLED_MS = 4 * WAIT_LIMIT_MS;
/** Errors that a client gets when a worker is killed during its request. */
const CUT = /^(ECONNRESET|EPIPE)$/;

/**
 * People sign up while the tree's processes and Redis are killed at random; afterwards the outcome of each sign-up is
 * checked. The blows follow the number of sign-ups, and the sign-ups wait for the blows, so that a fast machine and a slow
 * one see the same storm.
 */
class Storm {
  readonly blows: Blow[] = [];
  readonly accepted: string[] = [];
  /** Requests that were cut off: their users may or may not exist. */
  readonly cut: string[] = [];
  readonly failures: string[] = [];
  refused = 0;
  private begunSignUps = 0;
  /** Mails that must have arrived before a processor is killed again. */
  private mailsWanted = 0;
  private readonly begun = performance.now();
  private readonly roll: (sides: number) => number;

  constructor(
    private readonly options: StormOptions,
    private readonly tree: Tree,
    private readonly redis: TestRedis,
    private readonly ledger: MailLedger,
  ) {
    this.roll = dice(options.seed);
  }

  async run(): Promise<void> {
    const clients = Promise.all(Array.from({ length: AT_ONCE }, () => this.client()));
    const { blows, wipes } = this.options;
    for (let blow = 1; blow <= blows; blow++) {
      await this.ended(this.share * blow);
      // They are evenly spread, with none at the very end.
      const wiped = this.blows.filter(({ victim }) => victim === 'redis, emptied').length;
      if (wiped < wipes && blow > (blows * (wiped + 1)) / (wipes + 1)) await this.empty();
      else await this.blow();
    }
    await clients;
  }

  /** Sign-ups between two blows. */
  private get share(): number {
    return this.options.users / (this.options.blows + 1);
  }

  private async ended(many: number): Promise<void> {
    const ended = () => this.accepted.length + this.cut.length + this.failures.length;
    await until(`${many} sign-ups have ended`, () => ended() >= many);
  }

  private async client(): Promise<void> {
    while (this.begunSignUps < this.options.users) {
      const number = this.begunSignUps++;
      await until('it is its turn', () => number < this.share * (this.blows.length + 2), { timeoutMs: SETTLED_MS });
      await this.signUpOne();
    }
  }

  private async signUpOne(): Promise<void> {
    const user = somebody();
    await until('the tree listens', async () => {
      try {
        const { status, body } = await signUp(this.tree, user);
        if (status === 201) this.accepted.push(user.email);
        else this.failures.push(`${status} ${body}`);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code ?? String(error);
        if (code === 'ECONNREFUSED') {
          this.refused++;
          return false;
        }
        (CUT.test(code) ? this.cut : this.failures).push(CUT.test(code) ? user.email : code);
      }
      return true;
    });
  }

  private async blow(): Promise<void> {
    const victims = ['processor', 'worker 0', 'worker 1', 'processor', 'redis'] as const;
    const victim = victims[this.roll(victims.length)] ?? 'processor';
    if (victim === 'redis') {
      await this.redis.kill();
      this.note(victim);
      // Redis is down for some of the sign-ups before the next blow.
      await this.ended(this.share * (this.blows.length + this.roll(10) / 10));
      return this.redis.start();
    }
    if (victim === 'processor') {
      await until(
        'the jobs of the last killed processor are done',
        () => this.ledger.entries.length >= this.mailsWanted,
      );
    }
    const pid = await until(`there is a ${victim} at work`, () => {
      const { jobs, web } = this.tree.processes();
      const found = victim === 'processor' ? jobs : web.get(Number(victim.slice(-1)));
      return this.tree.linesMatching(new RegExp(`\\(pid ${found}\\) is ready`)).length > 0 ? found : undefined;
    });
    process.kill(pid, 'SIGKILL');
    this.note(victim);
    if (victim === 'processor') this.mailsWanted = this.ledger.entries.length + DONE_BY_THEN;
  }

  private async empty(): Promise<void> {
    await withRedis(this.redis, (client) => client.flushAll());
    this.note('redis, emptied');
  }

  private note(victim: Victim): void {
    this.blows.push({ victim, at: performance.now() });
  }

  /** A report for those who have to find the cause of a failure. */
  report(): object {
    const at = (ms: number) => Math.round(ms - this.begun);
    const { accepted, cut, refused, failures, options } = this;
    const blows = this.blows.map((blow) => `${at(blow.at)} ${blow.victim}`);
    return { options, accepted: accepted.length, cut: cut.length, refused, failures, blows, ms: at(performance.now()) };
  }
}

/** Processors, workers and Redis die at random, and Redis loses its data; still everybody gets one mail. */
export function signUpStorm(options: StormOptions): void {
  const { users, blows, seed, wipes } = options;
  const title = `${users} sign-ups and ${blows} times kill -9, Redis emptied ${wipes === 1 ? 'once' : `${wipes} times`}`;
  describe(`${title} (seed ${seed})`, function () {
    // Each blow has the limit of every other wait, and the end has SETTLED_MS.
    this.timeout((blows + 1) * WAIT_LIMIT_MS + SETTLED_MS);
    let database: TestDatabase;
    let redis: TestRedis;
    let ledger: MailLedger;
    let tree: Tree;

    before(async () => {
      [database, redis, ledger] = await Promise.all([
        createDatabase({ migrated: true }),
        startTestRedis(),
        MailLedger.start(),
      ]);
      tree = await startTree({
        env: {
          NODE_ENV: 'production',
          // A fixed port, which stays the same while no worker runs.
          PORT: String(await serverPort()),
          DATABASE_URL: database.url,
          REDIS_URL: redis.url,
          SMTP_URL: ledger.url,
          APP_URL: 'https://catamount.example',
          ...UNLIMITED,
        },
      });
    });
    after(async () => {
      await tree?.cleanup();
      await Promise.all([redis?.remove(), ledger?.stop(), database?.drop()]);
    });

    it('everyone is in the database, with one delivery record and one mail, or two if a processor died in between', async () => {
      const storm = new Storm(options, tree, redis, ledger);
      const lag = monitorEventLoopDelay({ resolution: 10 });
      lag.enable();
      try {
        await storm.run();
        assert.deepEqual(storm.failures, []);
        await settled(database, redis);
        lag.disable();
        const mails = ledger.byReceiver();
        await assertEveryoneIsServed(storm, database, mails);
        const kills = storm.blows.filter(({ victim }) => victim === 'processor').map(({ at }) => at);
        const doubles = explainDoubles(mails, kills, tree.linesMatching(/sent by smtp/), lag.max / 1e6);
        say({ ...storm.report(), mails: ledger.entries.length, doubles });
      } catch (error) {
        say({ ...storm.report(), mails: ledger.entries.length, log: tree.lines.map((line) => line.text) });
        throw error;
      }
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
    });

    /** Writes the report to a file. */
    function say(report: object): void {
      const folder = path.resolve(__dirname, '../../.catamount/chaos');
      fs.mkdirSync(folder, { recursive: true });
      fs.writeFileSync(path.join(folder, `sign-ups-${users}-${seed}.json`), JSON.stringify(report, null, 2));
    }
  });
}

/** Waits until no job is left, then asserts that none is dead. */
async function settled(database: TestDatabase, redis: TestRedis): Promise<void> {
  const rows = () => database.query('select id, class, state, run_at from job_queue limit 5');
  const empty = async () => {
    const left = await rows();
    if (left.length > 0) throw new Error(JSON.stringify(left));
    return true;
  };
  await until('no job is left', empty, { timeoutMs: SETTLED_MS, everyMs: 200 });
  await until('no hint is left', () =>
    withRedis(redis, async (client) => (await client.lLen('bq:mailer:waiting')) === 0),
  );
  assert.deepEqual(await database.query('select id from job_dead'), []);
}

async function assertEveryoneIsServed(
  storm: Storm,
  database: TestDatabase,
  mails: ReadonlyMap<string, readonly LoggedJob[]>,
): Promise<void> {
  const rows = await database.query<{ email: string; deliveries: number; sent: number }>(
    `select email, count(key)::int as deliveries, count(*) filter (where state = 'sent')::int as sent
     from users left join mail_deliveries on recipients = array[email] group by email`,
  );
  const users = new Map(rows.map((row) => [row.email, row]));
  assert.deepEqual(
    storm.accepted.filter((email) => !users.has(email)),
    [],
    'answered 201, but not in the database',
  );
  const known = new Set([...storm.accepted, ...storm.cut]);
  assert.deepEqual(
    [...users.keys()].filter((email) => !known.has(email)),
    [],
    'in the database without a sign-up',
  );
  assert.deepEqual(
    rows.filter(({ deliveries, sent }) => deliveries !== 1 || sent !== 1),
    [],
    'without exactly one delivery record in state sent',
  );
  assert.deepEqual(
    [...users.keys()].filter((email) => !mails.has(email)),
    [],
    'no mail',
  );
  assert.deepEqual(
    [...mails.keys()].filter((email) => !users.has(email)),
    [],
    'a mail to an unknown user',
  );
}

async function withRedis<T>(redis: TestRedis, work: (client: ReturnType<typeof clientOf>) => Promise<T>): Promise<T> {
  const client = clientOf(redis.url);
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    client.destroy();
  }
}

function clientOf(url: string) {
  return createClient({ url });
}

import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { explainDoubles } from './explained-doubles';
import { MailLedger } from './mail-ledger';
import { signUp, somebody } from './sign-ups';
import { Surroundings } from './surroundings';

export interface LeaderStormOptions {
  readonly users: number;
}

const TREES = 3;
/** Concurrent sign-ups. */
const AT_ONCE = 6;
/** Mails that must have come from the other trees before the frozen leader is resumed. */
const MAILS_MEANWHILE = 20;
const SETTLED_MS = 4 * WAIT_LIMIT_MS;

/** People sign up on three trees. The leading dispatcher is frozen for a while, and later the leading tree is killed. */
export function leaderStorm({ users }: LeaderStormOptions): void {
  describe(`${users} sign-ups over ${TREES} trees, whose leading dispatcher is frozen and then killed`, function () {
    this.timeout(4 * SETTLED_MS);
    let around: Surroundings;
    let ledger: MailLedger;
    let listener: Client;
    let leader = '';
    const trees: Tree[] = [];
    const killed = new Set<Tree>();
    before(async () => {
      [around, ledger] = await Promise.all([Surroundings.make(), MailLedger.start()]);
      listener = new Client({ connectionString: around.database.url });
      await listener.connect();
      listener.on('notification', ({ payload = '' }) => {
        leader = payload.split(' ')[0] || leader;
      });
      await listener.query(`LISTEN ${TABLES.leaderChannel}`);
      for (let n = 0; n < TREES; n++) {
        const tree = await around.start({ env: { WEB_CONCURRENCY: '1', SMTP_URL: ledger.url } });
        await tree.waitForLine(/job processor \(pid \d+\) is ready/);
        trees.push(tree);
      }
    });
    after(async () => {
      await listener?.end();
      await around?.remove();
      await ledger?.stop();
    });

    /** @returns the pid of the processor whose dispatcher leads, and its tree. */
    const leading = () =>
      until('a tree leads', async () => {
        const command = async (...args: string[]) => await redis(around, args);
        const info = JSON.parse(String(await command('GET', `catamount:process:${leader}`))) as { pid: number } | null;
        const tree = trees.find((one) => !killed.has(one) && one.processes().jobs === info?.pid);
        return tree && info ? { tree, pid: info.pid } : undefined;
      });

    it('everyone gets one mail, except those whose mail was in flight when its processor was killed', async () => {
      const lag = monitorEventLoopDelay({ resolution: 10 });
      lag.enable();
      const accepted: string[] = [];
      const cut: string[] = [];
      const failures: string[] = [];
      const kills: number[] = [];
      let begun = 0;
      /** Further sign-ups wait until this is raised. */
      let allowed = users / 3;
      const client = async () => {
        while (begun < users) {
          const number = begun++;
          await until('it is its turn', () => number < allowed, { timeoutMs: SETTLED_MS });
          const user = somebody();
          const living = trees.filter((tree) => !killed.has(tree));
          const tree = living[number % living.length] as Tree;
          try {
            const { status } = await signUp(tree, user);
            if (status === 201) accepted.push(user.email);
            else failures.push(String(status));
          } catch (error) {
            if (killed.has(tree)) cut.push(user.email);
            else failures.push(String(error));
          }
        }
      };
      const clients = Promise.all(Array.from({ length: AT_ONCE }, client));
      const ended = (share: number) =>
        until('some have signed up', () => accepted.length + cut.length + failures.length >= share, {
          timeoutMs: SETTLED_MS,
        });

      await ended(users / 4);
      const frozen = await leading();
      process.kill(frozen.pid, 'SIGSTOP');
      allowed = (users * 2) / 3;
      const before = ledger.entries.length;
      await until('the other trees send mails', () => ledger.entries.length >= before + MAILS_MEANWHILE);
      process.kill(frozen.pid, 'SIGCONT');

      await ended(users / 2);
      const { tree } = await leading();
      killed.add(tree);
      kills.push(performance.now());
      const { jobs, all } = tree.processes();
      for (const pid of new Set([jobs, ...all.map((row) => row.pid)])) if (pid !== undefined) killNow(pid);
      allowed = users;
      await clients;
      assert.deepEqual(failures, []);

      const left = async () => (await around.database.query('select id from job_queue')).length;
      await until('no job is left', async () => (await left()) === 0, { timeoutMs: SETTLED_MS });
      lag.disable();
      const rows = await around.database.query<{ email: string; sent: number }>(
        `select email, count(key) filter (where state = 'sent')::int as sent
         from users left join mail_deliveries on recipients = array[email] group by email`,
      );
      const there = new Set(rows.map(({ email }) => email));
      assert.deepEqual(
        accepted.filter((email) => !there.has(email)),
        [],
        'answered 201, but not in the database',
      );
      const mails = ledger.byReceiver();
      assert.deepEqual(
        rows.filter(({ email, sent }) => sent !== 1 || !mails.has(email)),
        [],
        'without a mail',
      );
      const recorded = trees.flatMap((one) => one.linesMatching(/sent by smtp/));
      explainDoubles(mails, kills, recorded, lag.max / 1e6);
    });
  });
}

async function redis(around: Surroundings, args: readonly string[]): Promise<unknown> {
  const { createClient } = await import('redis');
  const client = createClient({ url: around.redis.url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await client.sendCommand([...args]);
  } finally {
    client.destroy();
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has ended already.
  }
}

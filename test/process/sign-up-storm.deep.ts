import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { dice } from '../support/dice';
import { LONG_SEED, sized } from '../support/long-form';
import { tell } from '../support/replicated-redis';
import { serverPort } from '../support/server-port';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { useDeployment } from './deployment';
import { explainDoubles } from './explained-doubles';
import { lostWelcomes } from './lost-welcomes';
import { MailLedger } from './mail-ledger';
import { SETTLED_MS, StormClients } from './storm-clients';

const { users, kills, seed, wipes } = sized(
  { users: 300, kills: 12, seed: 3, wipes: 1 },
  { users: 10_000, kills: 20, seed: LONG_SEED, wipes: 2 },
);
/** Sign-ups between two kills. */
const SHARE = users / (kills + 1);
/**
 * A job that was running when three processors died rightly counts as poison. Therefore the next processor is killed only
 * when the jobs of the last one are done: they run first, so they are done when this many more mails have arrived.
 */
const DONE_BY_THEN = 6;
const VICTIMS = ['processor', 'worker 0', 'worker 1', 'processor', 'redis'] as const;

/** Processors, workers and Redis die at random, and Redis loses its data; still everybody gets one mail. */
describe(`${users} sign-ups and ${kills} times kill -9, Redis emptied ${wipes} times (seed ${seed})`, function () {
  // Each kill has the limit of every other wait, and the end has SETTLED_MS.
  this.timeout((kills + 1) * WAIT_LIMIT_MS + SETTLED_MS);
  const deployment = useDeployment();
  const roll = dice(seed);
  const killed: { readonly victim: string; readonly at: number }[] = [];
  let ledger: MailLedger;
  let tree: Tree;
  let clients: StormClients;
  /** Mails that must have arrived before a processor is killed again. */
  let mailsWanted = 0;
  before(async () => {
    ledger = await MailLedger.start();
    // A fixed port, which stays the same while no worker runs.
    tree = await deployment.start({ env: { PORT: String(await serverPort()), SMTP_URL: ledger.url } });
  });
  after(() => ledger?.stop());

  const note = (victim: string) => {
    killed.push({ victim, at: performance.now() });
    clients.allowed = SHARE * (killed.length + 2);
  };

  async function killOne(): Promise<void> {
    const { redis } = deployment;
    const victim = VICTIMS[roll(VICTIMS.length)] ?? 'processor';
    if (victim === 'redis') {
      await redis.kill();
      note(victim);
      // Redis is down for some of the sign-ups before the next kill.
      await clients.ended(SHARE * (killed.length + roll(10) / 10));
      return redis.start();
    }
    if (victim === 'processor')
      await until('the jobs of the last killed processor are done', () => ledger.entries.length >= mailsWanted);
    const pid = await until(`there is a ${victim} at work`, () => {
      const { jobs, web } = tree.processes();
      const found = victim === 'processor' ? jobs : web.get(Number(victim.slice(-1)));
      return tree.linesMatching(new RegExp(`\\(pid ${found}\\) is ready`)).length > 0 ? found : undefined;
    });
    process.kill(pid, 'SIGKILL');
    note(victim);
    if (victim === 'processor') mailsWanted = ledger.entries.length + DONE_BY_THEN;
  }

  async function storm(): Promise<void> {
    clients = new StormClients({ users, atOnce: 8, treeFor: () => tree });
    clients.allowed = 2 * SHARE;
    for (let n = 1; n <= kills; n++) {
      await clients.ended(SHARE * n);
      // They are evenly spread, with none at the very end.
      const wiped = killed.filter(({ victim }) => victim === 'redis, emptied').length;
      if (wiped < wipes && n > (kills * (wiped + 1)) / (wipes + 1)) {
        await tell(deployment.redis, ['FLUSHALL']);
        note('redis, emptied');
      } else await killOne();
    }
    await clients.done;
  }

  /** Waits until no job is left, then asserts that none is dead. */
  async function settled(): Promise<void> {
    const { database, redis } = deployment;
    const empty = async () => {
      const left = await database.query('select id, class, state, run_at from job_queue limit 5');
      return left.length === 0 || Promise.reject(new Error(JSON.stringify(left)));
    };
    await until('no job is left', empty, { timeoutMs: SETTLED_MS, everyMs: 200 });
    await until('no hint is left', async () => Number(await tell(redis, ['LLEN', 'bq:mailer:waiting'])) === 0);
    assert.deepEqual(await database.query('select id from job_dead'), []);
  }

  /** Writes a report to a file, for those who have to find the cause of a failure. */
  function report(more: object): void {
    const folder = path.resolve(__dirname, '../../.catamount/chaos');
    fs.mkdirSync(folder, { recursive: true });
    const { accepted, cut, refused, failures } = clients;
    const counts = { accepted: accepted.length, cut: cut.length, refused, failures, killed, ...more };
    fs.writeFileSync(path.join(folder, `sign-ups-${users}-${seed}.json`), JSON.stringify(counts, null, 2));
  }

  it('everyone is in the database, with one delivery record and one mail, or two if a processor died in between', async () => {
    try {
      await storm();
      assert.deepEqual(clients.failures, []);
      await settled();
      const mails = ledger.byReceiver();
      const unsure = clients.cut.map(({ email }) => email);
      const signUps = { accepted: clients.accepted, unsure, received: new Set(mails.keys()) };
      assert.deepEqual(await lostWelcomes((sql) => deployment.database.query(sql), signUps), []);
      const kills = killed.filter(({ victim }) => victim === 'processor').map(({ at }) => at);
      const doubles = explainDoubles(mails, kills, tree.linesMatching(/sent by smtp/));
      report({ mails: ledger.entries.length, doubles });
    } catch (error) {
      report({ mails: ledger.entries.length, log: tree.lines.map((line) => line.text) });
      throw error;
    }
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
  });
});

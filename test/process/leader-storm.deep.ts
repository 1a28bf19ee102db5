import assert from 'node:assert/strict';
import { Client } from 'pg';
import { TABLES } from '../../lib/core/config';
import { statsOf } from '../cluster/primary/operator';
import { sized } from '../support/long-form';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { explainDoubles } from './explained-doubles';
import { lostWelcomes } from './lost-welcomes';
import { MailLedger } from './mail-ledger';
import { SETTLED_MS, StormClients } from './storm-clients';

const USERS = sized(900, 10_000);
const TREES = 3;
/** Mails that must have come from the other trees before the frozen leader is resumed. */
const MAILS_MEANWHILE = 20;

/** People sign up on three trees. The leading dispatcher is frozen for a while, and later the leading tree is killed. */
describe(`${USERS} sign-ups over ${TREES} trees, whose leading dispatcher is frozen and then killed`, function () {
  this.timeout(4 * SETTLED_MS);
  let ledger: MailLedger;
  let listener: Client;
  // Before the database is dropped.
  after(async () => {
    await listener?.end();
    await ledger?.stop();
  });
  const deployment = useDeployment();
  let leader = '';
  const trees: Tree[] = [];
  const killed = new Set<Tree>();
  before(async () => {
    ledger = await MailLedger.start();
    listener = new Client({ connectionString: deployment.database.url });
    await listener.connect();
    listener.on('notification', ({ payload = '' }) => {
      leader = payload.split(' ')[0] || leader;
    });
    await listener.query(`LISTEN ${TABLES.leaderChannel}`);
    for (let n = 0; n < TREES; n++) {
      const tree = await deployment.start({ env: { WEB_CONCURRENCY: '1', SMTP_URL: ledger.url } });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      trees.push(tree);
    }
  });

  /** @returns the pid of the processor whose dispatcher leads, and its tree. */
  const leading = () =>
    until('a tree leads', async () => {
      for (const tree of trees.filter((one) => !killed.has(one))) {
        const { identity, pid } = (await statsOf(tree)).job_processor;
        if (identity === leader && pid !== null) return { tree, pid };
      }
      return undefined;
    });

  it('everyone gets one mail, except those whose mail was in flight when its processor was killed', async () => {
    const living = () => trees.filter((tree) => !killed.has(tree));
    const clients = new StormClients({
      users: USERS,
      atOnce: 6,
      treeFor: (n) => living()[n % living().length] as Tree,
    });
    clients.allowed = USERS / 3;

    await clients.ended(USERS / 4);
    const frozen = await leading();
    process.kill(frozen.pid, 'SIGSTOP');
    clients.allowed = (USERS * 2) / 3;
    const before = ledger.entries.length;
    await until('the other trees send mails', () => ledger.entries.length >= before + MAILS_MEANWHILE);
    process.kill(frozen.pid, 'SIGCONT');

    await clients.ended(USERS / 2);
    const { tree } = await leading();
    killed.add(tree);
    tree.killAll();
    const killedAt = performance.now();
    clients.allowed = USERS;
    await clients.done;
    assert.deepEqual(clients.failures, []);
    assert.ok(
      clients.cut.every((one) => killed.has(one.tree)),
      'only requests to the killed tree are cut off',
    );

    const left = async () => (await deployment.database.query('select id from job_queue')).length;
    await until('no job is left', async () => (await left()) === 0, { timeoutMs: SETTLED_MS });
    const mails = ledger.byReceiver();
    const unsure = clients.cut.map(({ email }) => email);
    const signUps = { accepted: clients.accepted, unsure, received: new Set(mails.keys()) };
    assert.deepEqual(await lostWelcomes((sql) => deployment.database.query(sql), signUps), []);
    const recorded = trees.flatMap((one) => one.linesMatching(/sent by smtp/));
    explainDoubles(mails, [killedAt], recorded);
  });
});

import assert from 'node:assert/strict';
import { MAX_TRIES } from '../../lib/ops/auth/sign-in-throttle';
import { order, statsOf } from '../cluster/primary/operator';
import { SIGNED, signInTo } from '../ops/ops-web';
import type { Answer } from '../support/http';
import { inSuite } from '../support/suite';
import { TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { subjectFor } from './sign-ups';

/** All unknown addresses together may try this many passwords at once, then one a second, and WAITING may wait their turn. */
const AT_ONCE = 30;
const WAITING = 10;
const LIMITS = { SIGN_UPS_PER_ADDRESS: '5/1h', SIGN_UPS_PER_DOMAIN: '12/1h', SIGN_UPS_PER_MAILBOX: '2/1h' };

describe('attacks on a tree in production, behind a trusted proxy', () => {
  const deployment = useDeployment();
  const tree = inSuite(undefined, () =>
    deployment.start({ env: { ...SIGNED, ...LIMITS, TRUST_PROXY: '1', WEB_CONCURRENCY: '2' } }),
  );

  let invented = 0;
  /** The proxy appends the client's address to whatever the client has made up. */
  const from = (address: string) => ({ 'X-Forwarded-For': `10.9.8.${++invented % 250}, ${address}` });

  const signIn = (address: string, password: string) => signInTo(tree, password, from(address));
  const statusOf = async (address: string, password: string) => (await signIn(address, password)).status;

  it('guesses from one address are not checked from the sixth on, and other addresses are not affected', async () => {
    const guesses: number[] = [];
    for (let n = 0; n < 20; n++) guesses.push(await statusOf('203.0.113.5', `guess ${n}`));
    assert.deepEqual(guesses, [...Array<number>(MAX_TRIES).fill(401), ...Array<number>(20 - MAX_TRIES).fill(429)]);
    assert.equal(await statusOf('203.0.113.5', SIGNED.OPS_PASSWORD), 429, 'the right password is not checked either');
    assert.equal(await statusOf('203.0.113.6', SIGNED.OPS_PASSWORD), 303);
    // New processes know it as well.
    const pids = async () => (await statsOf(tree)).worker_status.map(({ pid }) => pid);
    const before = await pids();
    await order(tree, 'phased-restart');
    await until('the workers have been replaced', async () => (await pids()).every((pid) => !before.includes(pid)));
    assert.equal(await statusOf('203.0.113.5', SIGNED.OPS_PASSWORD), 429);
  });

  it('guesses from many addresses are throttled together, and lock nobody out', async () => {
    const begun = performance.now();
    const answers: Answer[] = [];
    let next = 0;
    const guess = async () => {
      for (let n = next++; n < 200; n = next++) answers.push(await signIn(`198.51.${n >> 6}.${n & 63}`, `guess ${n}`));
    };
    const attack = Promise.all(Array.from({ length: 20 }, guess));
    await until('the attack is rejected', () => answers.some(({ status }) => status === 429));
    assert.equal(await statusOf('203.0.113.6', SIGNED.OPS_PASSWORD), 303, 'a known address is not throttled');
    await attack;
    const seconds = Math.ceil((performance.now() - begun) / 1000);
    const looked = answers.filter(({ status }) => status === 401).length;
    assert.ok(looked <= AT_ONCE + WAITING + seconds, `${looked} guesses were checked in ${seconds} s`);
    assert.ok(answers.every(({ status }) => status === 401 || status === 429));
    for (const { status, headers } of answers) if (status === 429) assert.ok(Number(headers['retry-after']) <= WAITING);
    await until('an unknown address gets in', async () => (await statusOf('192.0.2.200', SIGNED.OPS_PASSWORD)) === 303);
  });

  it('sign-ups send no more mails than the limits allow, and no subject contains text of an attacker', async () => {
    const accepted: string[] = [];
    const signUp = async (email: string, name: string, address: string) => {
      const { status } = await tree.request('POST', '/users', { json: { email, name }, headers: from(address) });
      if (status === 201) accepted.push(email);
      return status;
    };
    const count = async (many: number, how: (n: number) => readonly [email: string, address: string]) => {
      const statuses = await Promise.all(
        Array.from({ length: many }, (_, n) => signUp(how(n)[0], LURES[n % LURES.length] ?? '', how(n)[1])),
      );
      return [201, 429, 422].map((status) => statuses.filter((each) => each === status).length);
    };
    const refused = await signUp('ada@a.example', 'renew at evil.example today', '203.0.113.20');
    assert.equal(refused, 422);
    // One client, many victims.
    assert.deepEqual(await count(40, (n) => [`victim@one${n}.example`, '203.0.113.20']), [5, 35, 0]);
    // Many clients, one company.
    assert.deepEqual(await count(30, (n) => [`victim${n}@company.example`, `203.0.113.${30 + n}`]), [12, 18, 0]);
    // Many clients, one mailbox.
    assert.deepEqual(await count(10, (n) => [`victim+${n}@mail.example`, `203.0.113.${70 + n}`]), [2, 8, 0]);
    for (const pid of tree.processes().webPids) process.kill(pid, 'SIGKILL');
    assert.equal(await until('it serves again', () => signUp('victim@later.example', 'Ada', '203.0.113.20')), 429);
    assert.equal(await signUp('bob@friends.example', 'Bob', '203.0.113.99'), 201, 'others are not limited');
    await deployment.sink.waitFor(accepted.length);
    await until(
      'every job has ended',
      async () => (await deployment.database.query('select 1 from job_queue')).length === 0,
    );
    const receivers = deployment.sink.messages.flatMap(({ envelope }) => envelope.to).sort();
    assert.deepEqual(receivers, [...accepted].sort());
    const welcome = subjectFor({ email: '', name: '', locale: 'en' });
    assert.deepEqual(new Set(deployment.sink.messages.map(({ subject }) => subject)), new Set([welcome]));
  });
});

/** Delay of each byte to and from Redis, ms: a reply takes twice as long. */
const DELAY_MS = 250;
const RESTARTS = 2;

describe('attacks on a tree whose Redis is 500 ms away', () => {
  const deployment = useDeployment();
  const proxy = inSuite('down', () => TcpProxy.start(deployment.redis.url, { delayMs: DELAY_MS }));
  const tree = inSuite(undefined, () => {
    const env = { ...SIGNED, REDIS_URL: proxy.url, TRUST_PROXY: '1', WEB_CONCURRENCY: '1', JOB_PROCESSOR: '0' };
    return deployment.start({ env: { ...env, SIGN_UPS_PER_ADDRESS: `${MAX_TRIES}/1h` } });
  });

  const from = (address: string) => ({ 'X-Forwarded-For': address });
  /** Repeats a request until a worker answers, so that it is the first request of a new worker. */
  const served = (what: string, ask: () => Promise<Answer>) =>
    until(`${what} is answered`, () => ask().catch(() => undefined)).then(({ status }) => status);
  const restart = (): void => {
    for (const pid of tree.processes().webPids) process.kill(pid, 'SIGKILL');
  };

  let invented = 0;
  const ATTEMPTS = {
    'sign-ups': () => {
      const json = { email: `victim@host${++invented}.example` };
      return tree.request('POST', '/users', { json, headers: from('203.0.113.5') });
    },
    'guesses at a password': () => signInTo(tree, 'guess', from('203.0.113.5')),
  };
  for (const [what, attempt] of Object.entries(ATTEMPTS))
    it(`gain no further ${what} from a restart`, async () => {
      await until('the limit is reached', async () => (await attempt()).status === 429);
      for (let n = 0; n < RESTARTS; n++) {
        restart();
        assert.equal(await served(what, attempt), 429, `after restart ${n + 1}`);
      }
    });
});

/** Names that are accepted, since for all that we know people may have them. */
const LURES = ['Your payment failed: call +1 202 555 0100', 'Account locked today', 'Ada'];

import net from 'node:net';
import path from 'node:path';
import pg from 'pg';
import { findRunningServers } from '../../../lib/embedded/embedded-servers';
import { redisAnswers } from '../../../lib/embedded/server-process';
import { cookiesOf, tokenIn } from '../../ops/ops-web';
import { type Answer, request } from '../../support/http';
import { startTree } from '../../support/tree';
import { until } from '../../support/until';
import { type Environment, OPERATOR } from '../scene/environment';
import type { Fault } from './faults';

/** Wrong passwords of one address that are checked before it must wait. */
const TRIES = 5;
/** Checks shared by all unknown addresses: this many at once, then one per second. */
const AT_ONCE = 30;
/** Longest time that an attempt may have waited for its turn, s. */
const MAX_SECONDS = 10;
const GUESSES = 60;
const ADDRESSES = 200;
const GUESSERS = 40;
const LIMIT = { timeoutMs: 90_000, everyMs: 500 };

/** A client at a loopback address; 127.0.0.0/8 has 16 million of them. */
class Visitor {
  private cookies = '';

  constructor(
    private readonly baseUrl: string,
    private readonly localAddress: string,
  ) {}

  get(target: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return request(this.baseUrl + target, { ...this.options, headers: { cookie: this.cookies, ...headers } });
  }

  /** Submits the sign-in form as a browser does. @returns the response; 303 means signed in. */
  async signIn(password: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const page = await this.get('/ops/sign-in', { cookie: '' });
    const fields = { name: OPERATOR.OPS_USER, password, token: tokenIn(page.body) };
    const answer = await request(`${this.baseUrl}/ops/sign-in`, {
      ...this.options,
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: this.baseUrl,
        cookie: cookiesOf(page),
        ...headers,
      },
    });
    if (answer.status === 303) this.cookies = cookiesOf(answer);
    return answer;
  }

  private get options() {
    return { localAddress: this.localAddress, timeoutMs: LIMIT.timeoutMs };
  }
}

/** Number of guesses by status: with 401 the password was checked, with 429 it was not. */
type Guesses = Map<number, number>;

function note(guesses: Guesses, { status, headers }: Answer, { ledger }: Environment): void {
  guesses.set(status, (guesses.get(status) ?? 0) + 1);
  if (status === 429 && headers['retry-after'] === undefined)
    ledger.broken.push('a guess was answered 429 without Retry-After');
  if (status !== 401 && status !== 429) ledger.broken.push(`a wrong password at /ops was answered ${status}`);
}

/** Runs `attack` while an operator from a known address keeps working and signs in again. */
async function whileOperatorWorks(environment: Environment, attack: () => Promise<void>): Promise<void> {
  const { platform, ledger } = environment;
  const operator = new Visitor(platform.baseUrl, '127.0.0.2');
  const signsIn = async () => (await operator.signIn(OPERATOR.OPS_PASSWORD)).status === 303;
  // After Redis lost its data no address is known, so the operator waits behind earlier guesses.
  await until('the operator is signed in', signsIn, LIMIT);
  let over = false;
  const work = async () => {
    for (let n = 0; !over; n++) {
      const target = ['/ops', '/ops/jobs/queues', '/ops/jobs/dead', '/ops/mail/deliveries'][n % 4] ?? '/ops';
      const { status, body } = await operator.get(target);
      if (status !== 200 || body.includes('name="password"'))
        ledger.broken.push(`the operator was answered ${status} at ${target} while others guessed`);
      if (n % 10 === 9 && !(await signsIn())) ledger.broken.push('the operator could not sign in while others guessed');
    }
  };
  const working = work();
  await attack().finally(() => {
    over = true;
  });
  await working;
}

const FROM_ONE: Fault = {
  name: 'guesses-from-one',
  about: 'one address guesses the password of /ops, while the operator works',
  async inject(environment, roll) {
    const guesses: Guesses = new Map();
    const { ledger, platform } = environment;
    const address = `127.1.${roll(200)}.${1 + roll(200)}`;
    await whileOperatorWorks(environment, async () => {
      for (let n = 0; n < GUESSES; n++) {
        const visitor = new Visitor(platform.baseUrl, address);
        // These headers claim a different client each time. No proxy is trusted here, so they must be ignored.
        const forged = { 'x-forwarded-for': `198.51.100.${n}`, 'x-real-ip': `198.51.100.${n}` };
        note(guesses, await visitor.signIn(`guess ${n}`, forged), environment);
      }
      const late = await new Visitor(platform.baseUrl, address).signIn(OPERATOR.OPS_PASSWORD);
      if (late.status !== 429)
        ledger.broken.push(`the right password after ${GUESSES} guesses was answered ${late.status}`);
    });
    const looked = guesses.get(401) ?? 0;
    if (looked > TRIES) ledger.broken.push(`${looked} of ${GUESSES} guesses from one address were checked`);
  },
};

const FROM_MANY: Fault = {
  name: 'guesses-from-many',
  about: `${ADDRESSES} addresses guess the password of /ops, while the operator works`,
  async inject(environment, roll) {
    const guesses: Guesses = new Map();
    const { ledger, platform } = environment;
    const begun = performance.now();
    const net3 = roll(200);
    await whileOperatorWorks(environment, async () => {
      let next = 0;
      const guess = async () => {
        for (let n = next++; n < ADDRESSES; n = next++) {
          const visitor = new Visitor(platform.baseUrl, `127.2.${net3}.${1 + n}`);
          note(guesses, await visitor.signIn(`guess ${n}`), environment);
        }
      };
      await Promise.all(Array.from({ length: GUESSERS }, guess));
    });
    const seconds = (performance.now() - begun) / 1000;
    const looked = guesses.get(401) ?? 0;
    if (looked > AT_ONCE + seconds + MAX_SECONDS)
      ledger.broken.push(`${looked} guesses from many addresses were checked within ${Math.round(seconds)} s`);
  },
};

const ATTEMPTS = 40;
const PASSWORDS = ['', 'postgres', 'redis', 'admin', 'catamount'];

/** Other users of a developer's machine try to reach the embedded servers. */
const AT_THE_STORES: Fault = {
  name: 'strangers-at-the-stores',
  about:
    'other users of a developer’s machine try to enter the embedded Postgres and Redis with no password or a wrong one',
  async inject({ ledger, platform }, roll) {
    const tree = await startTree({ entry: platform.entry, env: { MAIL_DELIVERY: 'log', CHAOS_RECORD: '/dev/null' } });
    try {
      const { databaseUrl = '', redisUrl = '' } = await findRunningServers(path.join(tree.cwd, '.catamount'));
      const [postgres, redis] = [Number(new URL(databaseUrl).port), Number(new URL(redisUrl).port)];
      for (let n = 0; n < ATTEMPTS; n++) {
        const password = PASSWORDS[roll(PASSWORDS.length)] ?? '';
        if (await entersPostgres(postgres, password))
          ledger.broken.push(`Postgres accepted the password "${password}"`);
        if (await redisAnswers(redis, password || undefined))
          ledger.broken.push(`Redis accepted the password "${password}"`);
        await hangUp(n % 2 === 0 ? postgres : redis);
        if (n % 10 !== 0) continue;
        const { status } = await tree.request('POST', '/users', { json: { email: `guest${n}@example.com` } });
        if (status !== 201)
          ledger.broken.push(`a sign-up was answered ${status} while strangers tried to enter the stores`);
      }
      const { code } = await tree.stop();
      if (code !== 0)
        ledger.broken.push(`a developer's tree ended with code ${code} after strangers tried to enter its stores`);
    } finally {
      await tree.cleanup();
    }
  },
};

async function entersPostgres(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password });
  client.on('error', () => undefined);
  const entered = await client.connect().then(
    () => true,
    () => false,
  );
  await client.end().catch(() => undefined);
  return entered;
}

/** Connects, sends bytes that are not a valid start of either protocol, and disconnects. */
function hangUp(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.end(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47, 13, 10])));
    socket.on('error', () => undefined).on('close', () => resolve());
    socket.resume();
  });
}

/** Unauthorized clients must not get in, and authorized ones must not be locked out. */
export const INTRUDER_FAULTS: readonly Fault[] = [FROM_ONE, FROM_MANY, AT_THE_STORES];

import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { MailLedger } from '../process/mail-ledger';
import type { Benchmark } from './harness/bench';
import { judged, percentile, short, table } from './harness/figures';
import { startTree } from './harness/measured-server';
import { person } from './harness/product';

const SIGN_UPS = 100;
/** Sign-ups of each tree that are not measured, since its first mails load modules. */
const WARM_UP = 20;
const ARRIVES_MS = 30_000;

/** Durations from the sending of each sign-up, ms. */
interface Times {
  /** Time until the sign-up was answered. */
  readonly answered: number[];
  /** Time until the SMTP server accepted the mail. */
  readonly mailed: number[];
}

/** An idle tree: a user signs up, the mail arrives, and only then the next user signs up. */
export const firstMail: Benchmark = {
  about: 'ms from sending a sign-up to its mail being accepted by a real SMTP server, of an idle tree',
  peers: false,
  async run(bench) {
    const stores = await bench.stores();
    const ledger = await MailLedger.start();
    const mail = { MAIL_DELIVERY: 'smtp', SMTP_URL: ledger.url, MAIL_FROM: 'Shop <hello@shop.example>' };
    const times: Times = { answered: [], mailed: [] };
    try {
      for (let round = 0; round < bench.rounds; round++) {
        await stores.clear();
        const tree = await startTree({ ...stores.env, ...mail });
        try {
          await signUpInTurn(tree.url, ledger, WARM_UP, `warm-up-${round}`);
          const measured = await signUpInTurn(tree.url, ledger, SIGN_UPS, `round-${round}`);
          times.answered.push(...measured.answered);
          times.mailed.push(...measured.mailed);
        } finally {
          await tree.stop();
        }
      }
    } finally {
      await ledger.stop();
    }
    const line = (name: string, values: readonly number[], p50 = {}, p99 = {}) => [
      name,
      judged(percentile(values, 50), p50),
      short(percentile(values, 90)),
      judged(percentile(values, 99), p99),
      short(percentile(values, 100)),
    ];
    const answered = line('answered with 201', times.answered);
    const mailed = line('mail accepted', times.mailed, { atMost: 25 }, { atMost: 100 });
    const head = [`${times.mailed.length} sign-ups: ms`, 'p50', 'p90', 'p99', 'max'];
    bench.say(`\n${table(head, [answered, mailed])}`);
    return times;
  },
};

/** Sends sign-ups, each when the mail of the previous one has arrived. */
async function signUpInTurn(url: string, ledger: MailLedger, count: number, prefix: string): Promise<Times> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times: Times = { answered: [], mailed: [] };
  try {
    for (let n = 0; n < count; n++) {
      // Long enough for every process to be idle again, and random, so as not to be in step with any timer.
      await wait(20 + Math.random() * 30);
      const user = { ...person(n), email: `${prefix}-${n}@example.com` };
      const { sentAt, answeredAt } = await signUp(url, agent, user);
      times.answered.push(answeredAt - sentAt);
      times.mailed.push((await arrival(ledger, user.email)) - sentAt);
    }
  } finally {
    agent.destroy();
  }
  return times;
}

/** Sends a sign-up as JSON. @returns times as `performance.now()`. @throws Error unless the answer is 201. */
function signUp(url: string, agent: http.Agent, user: object): Promise<{ sentAt: number; answeredAt: number }> {
  const body = JSON.stringify(user);
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const sentAt = performance.now();
    const request = http.request(`${url}/users`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode === 201) resolve({ sentAt, answeredAt: performance.now() });
        else reject(new Error(`POST /users: ${response.statusCode}`));
      });
    });
    request.once('error', reject);
    request.end(body);
  });
}

/** Time at which the server accepted the mail, as it recorded it, so that the polling interval does not matter. */
async function arrival(ledger: MailLedger, to: string): Promise<number> {
  const late = performance.now() + ARRIVES_MS;
  for (;;) {
    const mail = ledger.entries.find((entry) => entry.to === to);
    if (mail) {
      ledger.entries.length = 0;
      return mail.at;
    }
    if (performance.now() > late) throw new Error(`the mail to ${to} did not come within ${ARRIVES_MS / 1000} s`);
    await wait(1);
  }
}

import { setTimeout as wait } from 'node:timers/promises';
import { MailLedger } from '../process/mail-ledger';
import { request } from '../support/http';
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
  const times: Times = { answered: [], mailed: [] };
  for (let n = 0; n < count; n++) {
    // Long enough for every process to be idle again, and random, so as not to be in step with any timer.
    await wait(20 + Math.random() * 30);
    const user = { ...person(n), email: `${prefix}-${n}@example.com` };
    const sentAt = performance.now();
    const { status } = await request(`${url}/users`, { method: 'POST', json: user });
    if (status !== 201) throw new Error(`POST /users: ${status}`);
    times.answered.push(performance.now() - sentAt);
    times.mailed.push((await arrival(ledger, user.email)) - sentAt);
  }
  return times;
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

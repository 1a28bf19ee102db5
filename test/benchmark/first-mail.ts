import http from 'node:http';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { MailLedger } from '../process/mail-ledger';
import type { Benchmark } from './benchmarks';
import { signUp } from './first-mail/sign-up';
import { judged } from './frame/goal';
import { Served } from './frame/served';
import { percentile } from './frame/statistics';
import { ROOT } from './frame/store';
import { short, table } from './frame/table';
import { person } from './mail/people';

const SIGN_UPS = 100;
/** Of each tree: what the first mails load is not what a tree is like that has been there for a while. */
const WARM_UP = 20;
const ARRIVES_MS = 30_000;

interface Times {
  /** Until the sign-up was answered, ms. */
  readonly answered: number[];
  /** Until the SMTP server had the whole mail and said yes to it, ms. */
  readonly mailed: number[];
}

/** The whole tree with nothing else to do: one signs up, the mail comes, and only then the next one does. */
export const firstMail: Benchmark = {
  about: 'ms from sending a sign-up to its mail being accepted by a real SMTP server, of an idle tree',
  peers: false,
  async run(bench) {
    const grounds = await bench.grounds();
    const ledger = await MailLedger.start();
    const times: Times = { answered: [], mailed: [] };
    try {
      for (let round = 0; round < bench.rounds; round++) {
        await grounds.clear();
        const tree = await Served.start({
          args: [path.join(ROOT, 'dist/server.js')],
          env: { ...grounds.env, MAIL_DELIVERY: 'smtp', SMTP_URL: ledger.url, MAIL_FROM: 'Shop <hello@shop.example>' },
          readyPath: '/ready',
        });
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
    const line = (name: string, values: readonly number[], p50?: number, p99?: number) => [
      name,
      judged(percentile(values, 50), p50 === undefined ? {} : { atMost: p50 }),
      short(percentile(values, 90)),
      judged(percentile(values, 99), p99 === undefined ? {} : { atMost: p99 }),
      short(percentile(values, 100)),
    ];
    const head = [`${times.mailed.length} sign-ups: ms`, 'p50', 'p90', 'p99', 'max'];
    bench.say(
      `\n${table(head, [line('answered with 201', times.answered), line('mail accepted', times.mailed, 25, 100)])}`,
    );
    return times;
  },
};

async function signUpInTurn(url: string, ledger: MailLedger, count: number, prefix: string): Promise<Times> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times: Times = { answered: [], mailed: [] };
  try {
    for (let n = 0; n < count; n++) {
      // Long enough that everybody is idle again, and in step with nothing.
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

/** When the server accepted the mail, by its own clock: how often one looks does not matter. */
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

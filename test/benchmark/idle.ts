import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { MailLedger } from '../process/mail-ledger';
import { signUpInTurn } from './first-mail';
import type { Benchmark } from './harness/bench';
import { judged, percentile, short, table } from './harness/figures';
import { startTree } from './harness/measured-server';

/** Sign-ups before the rest, so that every module is loaded. */
const WARM_UP = 20;
/** After this time every look has reached its longest interval: the dispatcher's last one is 15 minutes. */
const MINUTES = 20;
const QUICK_MINUTES = 2;

/** Time at which the last mail was claimed by the run of its job, before it is rendered and sent; ms since 1970. */
async function claimedAt(database: string): Promise<number> {
  const client = new Client(database);
  await client.connect();
  const { rows } = await client.query<{ at: Date }>('select max(claimed_at) as at from mail_deliveries');
  await client.end();
  return rows[0]?.at.getTime() ?? Number.NaN;
}

/** A tree is idle for a while; then a user signs up, and the pickup of the job shows how well an idle tree listens. */
export const idle: Benchmark = {
  about:
    'ms from the answer to a sign-up until its job has been picked up, by a tree that has rested for --minutes (20)',
  peers: false,
  async run(bench) {
    const stores = await bench.stores();
    const ledger = await MailLedger.start();
    const mail = { MAIL_DELIVERY: 'smtp', SMTP_URL: ledger.url, MAIL_FROM: 'Shop <hello@shop.example>' };
    const minutes = bench.options.minutes ?? (bench.options.quick ? QUICK_MINUTES : MINUTES);
    const answered: number[] = [];
    const pickedUp: number[] = [];
    const mailed: number[] = [];
    try {
      await stores.clear();
      const tree = await startTree({ ...stores.env, ...mail });
      try {
        await signUpInTurn(tree.url, ledger, WARM_UP, 'warm-up');
        for (let round = 0; round < (bench.options.rounds ?? 1); round++) {
          await wait(minutes * 60_000);
          const times = await signUpInTurn(tree.url, ledger, 1, `round-${round}`);
          const [answeredMs = Number.NaN] = times.answered;
          const [mailedMs = Number.NaN] = times.mailed;
          const answeredAt = Date.now() - (mailedMs - answeredMs);
          answered.push(answeredMs);
          pickedUp.push((await claimedAt(stores.env.DATABASE_URL ?? '')) - answeredAt);
          mailed.push(mailedMs - answeredMs);
        }
      } finally {
        await tree.stop();
      }
    } finally {
      await ledger.stop();
    }
    const line = (name: string, values: readonly number[], goal = {}) => [
      name,
      short(percentile(values, 50)),
      judged(percentile(values, 100), goal),
    ];
    const head = [`${answered.length} times, after ${minutes} minutes: ms`, 'p50', 'max'];
    const rows = [
      line('answered with 201', answered),
      line('then picked up, and its mail claimed', pickedUp, { atMost: 50 }),
      line('then until its mail is rendered, sent and accepted', mailed),
    ];
    bench.say(`\n${table(head, rows)}`);
    return { minutes, answered, pickedUp, mailed };
  },
};

import fs from 'node:fs';
import path from 'node:path';
import { createDatabase } from '../support/postgres';
import type { Benchmark } from './benchmarks';
import type { Bench } from './frame/bench';
import { Child, runChild } from './frame/child';
import { interleave } from './frame/rounds';
import { median, pairedRatio, spread } from './frame/statistics';
import { CODE, RESULTS } from './frame/store';
import { short, table } from './frame/table';
import type { MailResult, MailTask } from './mail/process';
import type { MailStores } from './mail/sender';
import type { SenderName } from './mail/senders';

const SENDER = path.join(CODE, 'test/benchmark/mail/process.js');
const SERVER = path.join(CODE, 'test/benchmark/mail/smtp-process.js');
const SENDERS = ['nodemailer', 'catamount', 'catamount, no records', 'ejs + juice'] as const;
const COUNT = 1000;
const WARM_UP = 200;
/** Enough to see whether memory grows. */
const MANY = 20_000;

/** Welcome mails of our own app, half of them Korean, through a real SMTP server, two at a time. */
export const mail: Benchmark = {
  about: 'CPU a mail over plain nodemailer, beside EJS and juice by hand, and memory over many mails',
  peers: true,
  async run(bench) {
    const database = await createDatabase({ migrated: ['lib/mailer/migrations'] });
    const server = new Child(SERVER, {}, { limitMs: 2 ** 31 - 1 });
    try {
      const stores = { smtpUrl: await server.next<string>(), databaseUrl: database.url };
      const send = async (sender: SenderName, count: number) => {
        const result = await runSender(bench, { sender, stores, count, warmUp: WARM_UP });
        server.send('count');
        const got = await server.next<number>();
        if (got !== count + WARM_UP) throw new Error(`${sender} sent ${count + WARM_UP} mails, ${got} came`);
        return result;
      };
      const runs = await interleave(SENDERS, bench.rounds, (sender) => send(sender, COUNT));
      compare(bench, runs);
      const { rssMb } = await send('catamount', bench.options.quick ? MANY / 10 : MANY);
      tellMemory(bench, rssMb);
      return { runs, rssMb };
    } finally {
      server.send('end');
      await server.ended();
      await database.drop();
    }
  },
};

function compare(bench: Bench, runs: Readonly<Record<SenderName, readonly MailResult[]>>): void {
  const cpu = (sender: SenderName) => runs[sender].map(({ cpuMs }) => cpuMs);
  const plain = cpu('nodemailer');
  const lines = SENDERS.map((sender) => {
    const { median: middle, min, max } = spread(cpu(sender));
    const over = median(cpu(sender).map((value, round) => value - (plain[round] ?? Number.NaN)));
    return [
      sender,
      `${short(middle)} (${short(min)}–${short(max)})`,
      short(over),
      pairedRatio(cpu(sender), cpu('ejs + juice')).toFixed(2),
      short(median(runs[sender].map(({ mailsPerSecond }) => mailsPerSecond))),
      median(runs[sender].map(({ rssMb }) => rssMb.at(-1) ?? Number.NaN)).toFixed(0),
    ];
  });
  const head = [`${COUNT} mails`, 'CPU ms a mail', 'over nodemailer', '÷ ejs + juice', 'mails/s', 'RSS MB'];
  bench.say(`\n${table(head, lines)}`);
}

function tellMemory(bench: Bench, rssMb: readonly number[]): void {
  const warm = rssMb.slice(Math.ceil(rssMb.length / 10));
  bench.say(
    `\nRSS MB of catamount after a tenth of ${bench.options.quick ? MANY / 10 : MANY} mails: ${warm[0]?.toFixed(0)}, ` +
      `then ${Math.min(...warm).toFixed(0)}–${Math.max(...warm).toFixed(0)}, at the end ${warm.at(-1)?.toFixed(0)}`,
  );
}

function runSender(bench: Bench, task: MailTask & { readonly stores: MailStores }): Promise<MailResult> {
  if (!bench.options.profile || !task.sender.startsWith('catamount')) return runChild<MailResult>(SENDER, task);
  const folder = path.join(RESULTS, 'profiles');
  fs.mkdirSync(folder, { recursive: true });
  const execArgv = ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=200'];
  return runChild<MailResult>(SENDER, task, { execArgv });
}

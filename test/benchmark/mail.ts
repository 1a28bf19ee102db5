import path from 'node:path';
import { createDatabase } from '../support/postgres';
import type { Bench, Benchmark } from './harness/bench';
import { interleave, median, pairedRatio, short, shortSpread, spread, table } from './harness/figures';
import { Child, NO_LIMIT, runChild } from './harness/processes';
import type { MailResult, MailTask, SenderName } from './mail-sender';

const SENDER = path.join(__dirname, 'mail-sender.js');
const SMTP_SERVER = path.join(__dirname, 'harness/smtp-server.js');
const SENDERS = ['nodemailer', 'catamount', 'ejs + juice'] as const;
const COUNT = 1000;
const WARM_UP = 200;
/** Number of mails that shows any growth of memory. */
const MANY = 20_000;

/** Sends welcome mails of the sample app, half of them Korean, to a real SMTP server, two at a time. */
export const mail: Benchmark = {
  about: 'CPU per mail above plain nodemailer, compared with EJS and juice by hand, and memory over many mails',
  peers: true,
  async run(bench) {
    const many = bench.options.quick ? MANY / 10 : MANY;
    const database = await createDatabase({ migrated: ['lib/mailer/migrations'] });
    const server = new Child(SMTP_SERVER, {}, NO_LIMIT);
    try {
      const stores = { smtpUrl: await server.next<string>(), databaseUrl: database.url };
      const send = async (sender: SenderName, count: number) => {
        const task: MailTask = { sender, stores, count, warmUp: WARM_UP };
        const result = await runChild<MailResult>(SENDER, task);
        server.send('count');
        const got = await server.next<number>();
        if (got !== count + WARM_UP) throw new Error(`${sender} sent ${count + WARM_UP} mails, ${got} came`);
        return result;
      };
      const runs = await interleave(SENDERS, bench.rounds, (sender) => send(sender, COUNT));
      sayCosts(bench, runs);
      const { rssMb } = await send('catamount', many);
      const warm = rssMb.slice(Math.ceil(rssMb.length / 10));
      bench.say(
        `\nRSS MB of catamount after a tenth of ${many} mails: ${warm[0]?.toFixed(0)}, ` +
          `then ${Math.min(...warm).toFixed(0)}–${Math.max(...warm).toFixed(0)}, at the end ${warm.at(-1)?.toFixed(0)}`,
      );
      return { runs, rssMb };
    } finally {
      await server.kill();
      await database.drop();
    }
  },
};

function sayCosts(bench: Bench, runs: Readonly<Record<SenderName, readonly MailResult[]>>): void {
  const cpu = (sender: SenderName) => runs[sender].map(({ cpuMs }) => cpuMs);
  const plain = cpu('nodemailer');
  const lines = SENDERS.map((sender) => [
    sender,
    shortSpread(spread(cpu(sender))),
    short(median(cpu(sender).map((value, round) => value - (plain[round] ?? Number.NaN)))),
    pairedRatio(cpu(sender), cpu('ejs + juice')).toFixed(2),
    short(median(runs[sender].map(({ mailsPerSecond }) => mailsPerSecond))),
    median(runs[sender].map(({ rssMb }) => rssMb.at(-1) ?? Number.NaN)).toFixed(0),
  ]);
  const head = [`${COUNT} mails`, 'CPU ms a mail', 'over nodemailer', '÷ ejs + juice', 'mails/s', 'RSS MB'];
  bench.say(`\n${table(head, lines)}`);
}

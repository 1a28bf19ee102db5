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

/** Sends welcome mails of the sample app, half of them Korean, to a real SMTP server, two at a time. */
export const mail: Benchmark = {
  about: 'CPU per mail above plain nodemailer, compared with EJS and juice by hand',
  peers: true,
  async run(bench) {
    const database = await createDatabase({ migrated: ['lib/mailer/migrations'] });
    const server = new Child(SMTP_SERVER, {}, NO_LIMIT);
    try {
      const stores = { smtpUrl: await server.next<string>(), databaseUrl: database.url };
      const send = async (sender: SenderName) => {
        const task: MailTask = { sender, stores, count: COUNT, warmUp: WARM_UP };
        const result = await runChild<MailResult>(SENDER, task);
        server.send('count');
        const got = await server.next<number>();
        if (got !== COUNT + WARM_UP) throw new Error(`${sender} sent ${COUNT + WARM_UP} mails, ${got} came`);
        return result;
      };
      const runs = await interleave(SENDERS, bench.rounds, send);
      sayCosts(bench, runs);
      return { runs };
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
  ]);
  const head = [`${COUNT} mails`, 'CPU ms a mail', 'over nodemailer', '÷ ejs + juice', 'mails/s'];
  bench.say(`\n${table(head, lines)}`);
}

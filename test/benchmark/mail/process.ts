import { person } from './people';
import type { MailSender, MailStores } from './sender';
import { SENDERS, type SenderName } from './senders';

export interface MailTask {
  readonly sender: SenderName;
  readonly stores: MailStores;
  readonly count: number;
  /** Sent before, and not measured. */
  readonly warmUp: number;
}

export interface MailResult {
  readonly mailsPerSecond: number;
  /** Of the process, user and system, per mail. */
  readonly cpuMs: number;
  /** Fifty times, evenly over the mails. */
  readonly rssMb: readonly number[];
}

/** As many as a job processor runs at once by default. */
const AT_ONCE = 2;

async function main(): Promise<void> {
  const task = JSON.parse(process.argv[2] ?? '{}') as MailTask;
  const sender = await SENDERS[task.sender](task.stores);
  await sendAll(sender, 0, task.warmUp, () => undefined);
  const rssMb: number[] = [];
  const every = Math.ceil(task.count / 50);
  const begun = performance.now();
  const before = process.cpuUsage();
  await sendAll(sender, task.warmUp, task.count, (sent) => {
    if (sent % every === 0) rssMb.push(process.memoryUsage.rss() / 2 ** 20);
  });
  const { user, system } = process.cpuUsage(before);
  const ms = performance.now() - begun;
  await sender.close();
  const result: MailResult = {
    mailsPerSecond: (task.count / ms) * 1000,
    cpuMs: (user + system) / 1000 / task.count,
    rssMb,
  };
  await new Promise((told) => process.send?.(result, told));
}

async function sendAll(sender: MailSender, from: number, count: number, note: (sent: number) => void): Promise<void> {
  let next = from;
  let sent = 0;
  const line = async () => {
    while (next < from + count) {
      const n = next++;
      await sender.send(person(n), n);
      note(++sent);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, line));
}

main().then(
  () => process.exit(),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    process.exit(1);
  },
);

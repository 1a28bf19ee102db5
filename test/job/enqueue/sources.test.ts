import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { logEvents } from '../../../lib/core/event-catalog';
import { Events } from '../../../lib/core/events';
import { createLogger } from '../../../lib/core/logging';
import { RowEnqueuer } from '../../../lib/job/enqueue/row-enqueuer';
import { Job, performAllLater } from '../../../lib/job/job';
import { transaction } from '../../../lib/model/transaction';
import { useJobSystem } from '../job-system';

class GreetJob extends Job<[name: string]> {
  perform(_name: string): void {}
}

class KeyedJob extends GreetJob {
  static override readonly unique = { onConflict: 'replace' } as const;
  override beforeEnqueue(): void {}
}

async function greet(): Promise<void> {
  await Promise.resolve();
  await GreetJob.performLater('deep'); // deep
}

describe('the log of enqueues', () => {
  const system = useJobSystem();
  const FILE = path.relative(process.cwd(), __filename);
  const source = fs.readFileSync(__filename, 'utf8').split('\n');
  /** The place of the line that ends with this comment. */
  const at = (comment: string) => `${FILE}:${source.findIndex((line) => line.endsWith(`// ${comment}`)) + 1}`;

  function listen(logsSources: boolean): string[] {
    const lines: string[] = [];
    const events = new Events();
    const destination = { write: (text: string) => void lines.push(JSON.parse(text).msg) };
    logEvents(events, createLogger({ log: { level: 'info', format: 'json' } }, 'web.0', destination));
    Job.connect(new RowEnqueuer(system.database.knex, undefined, events, undefined, logsSources));
    return lines;
  }

  it('names the place in the app, also through callbacks, bulk, transactions and replacements', async () => {
    const lines = listen(true);
    await GreetJob.performLater('Ann'); // plain
    await greet();
    await performAllLater([GreetJob.prepare('Bob')], { spread: '1m' }); // bulk
    await transaction(() => KeyedJob.set({ queue: 'mailer' }).performLater('Cid')); // first
    await KeyedJob.performLater('Cid'); // second
    assert.deepEqual(lines, [
      `enqueued GreetJob on default, in ${at('plain')}`,
      `enqueued GreetJob on default, in ${at('deep')}`,
      `enqueued GreetJob on default, in ${at('bulk')}`,
      `enqueued KeyedJob on mailer, in ${at('first')}`,
      `enqueued KeyedJob on default in place of the one that waits, in ${at('second')}`,
    ]);
  });

  it('has no lines above debug without the setting', async () => {
    const lines = listen(false);
    await GreetJob.performLater('Ann');
    assert.deepEqual(lines, []);
  });
});

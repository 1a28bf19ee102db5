import assert from 'node:assert/strict';
import type { EnqueuedJob } from '../../../lib/job/definition/job-class';
import type { JobSetup } from '../../../lib/job/definition/setup';
import { CancelEnqueue } from '../../../lib/job/enqueue/callbacks';
import { Job } from '../../../lib/job/job';
import { PublishedTrees } from '../../ops/overview/published-trees';
import { inSuite } from '../../support/suite';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { CommandLine } from './command-line';

class Money {
  constructor(readonly cents: number) {}
}

const ran: unknown[][] = [];
const seen: string[] = [];

class NoteJob extends Job<[...args: never[]]> {
  perform(...args: unknown[]): void {
    ran.push(args);
  }
}

class OnceJob extends Job<[n: number]> {
  static override unique = true as const;

  perform(): void {}
}

class PickyJob extends Job<[n: number]> {
  static override queue = 'mailer';

  override beforeEnqueue(n: number): void {
    if (n === 0) throw new CancelEnqueue();
    if (n < 0) throw new RangeError(`${n} is too small`);
  }

  perform(): void {}
}

const CLASSES = [NoteJob, OnceJob, PickyJob];
const setup: JobSetup = {
  serializers: [
    {
      name: 'money',
      matches: (value: unknown) => value instanceof Money,
      serialize: (value: unknown) => (value as Money).cents,
      deserialize: (json) => new Money(Number(json)),
    },
  ],
  enqueueMiddleware: [
    async (request, next): Promise<EnqueuedJob> => {
      seen.push(request.name);
      return next(request);
    },
  ],
};

describe('jobs enqueue', () => {
  const system = useJobSystem({ dependencies: { setup }, empty: [ran, seen] });
  const commandLine = inSuite(undefined, () => new CommandLine(system, CLASSES, { equipment: { setup } }));

  const enqueue = (...words: string[]) => commandLine.run(['enqueue', ...words]);

  it("enqueues a job through the app's middleware, and the app runs it", async () => {
    await new PublishedTrees(system.redisServer).publishProcessor({ identity: 'tree-0' });
    await system.processor(CLASSES);
    const { text, json, notes, ok } = await enqueue('NoteJob', '["ada", 7, {"deep": [null]}]');
    assert.deepEqual([text, notes, ok], [`Enqueued NoteJob ${json.id} on default.\n`, [], true]);
    assert.deepEqual(json, {
      id: json.id,
      class: 'NoteJob',
      queue: 'default',
      enqueued: true,
      reason: null,
      run_at: null,
    });
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual([ran, seen], [[['ada', 7, { deep: [null] }]], ['NoteJob']]);
    await enqueue('NoteJob');
    await until('the second job has run', () => ran.length === 2);
    assert.deepEqual(ran[1], []);
  });

  it('accepts tagged arguments, so that those of another job can be copied', async () => {
    await new PublishedTrees(system.redisServer).publishProcessor({ identity: 'tree-0' });
    await system.processor(CLASSES);
    const tagged = '[{"$date":"2026-01-02T03:04:05.000Z"},{"$bigint":"12345678901234567890"},{"$value":["money",250]}]';
    await enqueue('NoteJob', tagged);
    await until('the job has run', () => ran.length === 1);
    assert.deepEqual(ran[0], [new Date('2026-01-02T03:04:05Z'), 12345678901234567890n, new Money(250)]);
    await assert.rejects(enqueue('NoteJob', '[{"$date":"someday"}]'), {
      exitCode: 1,
      message: /^It was not enqueued: an argument is tagged \$date, but holds "someday"/,
    });
    await assert.rejects(enqueue('NoteJob', '["\\u0000"]'), {
      message: /^It was not enqueued: NoteJob: argument 1 has a NUL/,
    });
  });

  it('enqueues for later, on another queue, with tags', async () => {
    const { text, json } = await enqueue(
      'NoteJob',
      '[]',
      '--wait',
      '2h',
      '--queue',
      'mailer',
      '--tag',
      'a',
      '--tag',
      'b',
    );
    assert.match(text, /^Enqueued NoteJob \S+ on mailer, to run at .* UTC \(in 2 h\)\.\n$/);
    const shown = (await commandLine.run(`show ${json.id}`)).json;
    assert.deepEqual([shown.set, shown.queue, shown.tags], ['scheduled', 'mailer', ['a', 'b']]);
    assert.ok(Math.abs(Date.parse(String(shown.at)) - Date.parse(String(json.run_at))) < 5000);
  });

  it('enqueues with a priority, and with a time after which it is too late', async () => {
    const { json } = await enqueue('NoteJob', '[]', '--priority=-5', '--expires-in', '10m');
    const { text, json: shown } = await commandLine.run(`show ${json.id}`);
    assert.equal(shown.priority, -5);
    assert.equal(Date.parse(String(shown.expires_at)) - Date.parse(String(shown.at)), 600_000);
    assert.match(text, /^Priority {5}-5$/m);
    for (const [option, message] of [
      ['--priority=high', /^--priority is "high"; give a whole number, such as --priority=-10\.$/],
      ['--priority=1.5', /^--priority is "1.5"/],
      ['--expires-in=soon', /^--expires-in is "soon"; give a time such as 90s/],
    ] as const)
      await assert.rejects(enqueue('NoteJob', '[]', option), { exitCode: 64, message });
    const wrong = { exitCode: 1, message: /^It was not enqueued: NoteJob: priority is 101; give a whole number from/ };
    await assert.rejects(enqueue('NoteJob', '[]', '--priority=101'), wrong);
  });

  it('warns that no running processor serves the queue', async () => {
    const { notes, ok } = await enqueue('NoteJob');
    assert.deepEqual([notes, ok], [['No running job processor serves the queue default.'], true]);
  });

  it('says why it enqueued nothing', async () => {
    await new PublishedTrees(system.redisServer).publishProcessor({ identity: 'tree-0' });
    await system.processor(CLASSES, { jobs: { queues: [{ name: 'default', weight: 1 }] } });
    const first = await enqueue('OnceJob', '[1]', '--wait', '1h');
    const second = await enqueue('OnceJob', '[1]');
    assert.deepEqual([second.ok, second.text, second.json.reason], [false, '', 'duplicate']);
    assert.deepEqual(second.notes, [`Not enqueued: OnceJob is unique, and job ${first.json.id} is on its way.`]);
    const cancelled = await enqueue('PickyJob', '[0]');
    assert.deepEqual([cancelled.ok, cancelled.json.reason, cancelled.json.queue], [false, 'cancelled', 'mailer']);
    assert.equal(cancelled.notes[0], "Not enqueued: the app's own code cancelled it.");
    await assert.rejects(enqueue('PickyJob', '[-1]'), { exitCode: 1, message: 'It was not enqueued: -1 is too small' });
    for (const [words, message] of [
      [
        ['NoetJob'],
        /^There is no job class "NoetJob"\. Did you mean NoteJob\? There are: NoteJob, OnceJob, PickyJob\.$/,
      ],
      [['NoteJob', '[]', '--queue', 'mailre'], /^There is no queue "mailre"\. Did you mean mailer\?/],
    ] as const)
      await assert.rejects(enqueue(...words), { exitCode: 1, message });
    assert.deepEqual(ran, []);
  });
});

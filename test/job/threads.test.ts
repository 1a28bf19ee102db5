import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../lib/core/errors';
import { Batch } from '../../lib/job/batch';
import { keyringOf } from '../../lib/job/record/encryption';
import { Model } from '../../lib/model/model';
import { threadManifest } from '../../lib/role/app/thread-manifest';
import { threadSource } from '../../lib/role/start/job-thread-source';
import app from '../fixtures/thread-app/app';
import CountingJob from '../fixtures/thread-app/jobs/counting';
import ReadingJob from '../fixtures/thread-app/jobs/reading';
import ThreadedJob from '../fixtures/thread-app/jobs/threaded';
import Note from '../fixtures/thread-app/models/note';
import { until } from '../support/until';
import { TWO_QUEUES, useJobSystem } from './job-system';

const FOLDER = path.join(__dirname, '../fixtures/thread-app');

describe('a thread of jobs', () => {
  const encryptionKeys = [{ id: 'a', key: randomBytes(32).toString('base64') }];
  const models = { get: (name: string) => (name === 'Note' ? Note : undefined), place: 'the test' };
  const system = useJobSystem({ dependencies: { keys: keyringOf(encryptionKeys), models } });
  const jobs = { ...TWO_QUEUES, concurrency: 2, threads: 1, encryptionKeys };

  before(async () => {
    await system.postgres.query('create table notes (id serial primary key, text text)');
    Model.knex(system.database.knex);
  });

  const start = () => {
    const manifest = threadManifest([ReadingJob], app, jobs) ?? assert.fail('no manifest');
    const config = { environment: 'test', databaseSchema: 'public', jobs } as const;
    return system.processor([CountingJob, ReadingJob, ThreadedJob], {
      jobs,
      thread: threadSource(manifest, config, system.urls.database),
    });
  };

  it('has records, encrypted arguments and its batch; its errors name the line of the source', async () => {
    await start();
    const note = await Note.query().insertAndFetch({ text: 'new' });
    const job = ReadingJob.prepare('hayfever', note);
    const batch = await Batch.create({ description: 'readings' }, (open) => open.add(job));
    await until('it is kept', async () => (await system.postgres.query('select 1 from job_finished')).length === 1);
    const [{ id } = assert.fail('none')] = await system.postgres.query<{ id: string }>('select id from job_finished');
    assert.deepEqual(await ReadingJob.result(id), {
      ...{ secret: 'hayfever', id: note.id, batch: batch.id, isMainThread: false },
    });
    assert.equal((await note.$query()).text, 'read');
    assert.doesNotMatch(JSON.stringify(await system.postgres.query('select * from job_finished')), /hayfever/);

    await ThreadedJob.performLater('busy');
    await until('it is retried', () => system.eventsNamed('job.retrying').length === 1);
    const source = fs.readFileSync(path.join(FOLDER, 'jobs/threaded.ts'), 'utf8').split('\n');
    const line = source.findIndex((text) => text.includes('throw new Busy')) + 1;
    assert.match(system.eventsNamed('job.retrying')[0]?.error.stack ?? '', new RegExp(`threaded\\.ts:${line}:`));
  });

  it('persists the fields of its job', async () => {
    await start();
    const job = await CountingJob.performLater();
    assert.deepEqual(await job.result(), { runs: 2, isMainThread: false });
  });

  it('is needed by a class that has one: without it nothing starts', () => {
    const classes = [ThreadedJob];
    assert.equal(threadManifest(classes, app, jobs), path.join(FOLDER, 'app.ts'));
    assert.equal(threadManifest([], app, { threads: 0 }), undefined);
    const isUserError = (text: RegExp) => (error: unknown) => error instanceof UserError && text.test(error.message);
    assert.throws(() => threadManifest(classes, app, { threads: 0 }), isUserError(/^ThreadedJob .*JOB_THREADS/));
    assert.throws(() => threadManifest(classes, { file: undefined }, jobs), isUserError(/^ThreadedJob .*manifest/));
  });
});

import assert from 'node:assert/strict';
import { CronService } from '../../../lib/job/cron/cron-service';
import { cronEntries } from '../../../lib/job/cron/schedule';
import { Gate } from '../../../lib/job/dispatch/gate';
import { JobRegistry } from '../../../lib/job/job-registry';
import { keepInTest } from '../../support/suite';
import { until } from '../../support/until';
import { useJobSystem } from '../job-system';
import { EVERY_SECOND, recurring } from './cron-stage';

describe('recurring jobs while it is unknown whether the database is a copy', () => {
  const system = useJobSystem();
  const keep = keepInTest(({ task }: CronService) => task.stop());
  afterEach(() => system.postgres.query(`update job_installation set origin = replace(origin, ' before', '')`));

  const becomeCopy = () => system.postgres.query(`update job_installation set origin = origin || ' before'`);
  const enqueued = () => until('a job is enqueued', () => system.eventsNamed('cron.enqueued').length > 0);
  const start = (onCopy: () => void = () => undefined, pollMs?: number) => {
    const { knex } = system.database;
    const gate = new Gate({ knex, onCopy });
    const entries = cronEntries([recurring(EVERY_SECOND)]);
    const tuning = pollMs === undefined ? {} : { tuning: { pollMs } };
    const classes = { registry: new JobRegistry(), codec: {} };
    const service = keep(new CronService({ knex, events: system.events, entries, gate, ...classes, ...tuning }));
    service.start();
    return { progress: service.progress, gate };
  };

  it('count as stalled, with the cause, and are enqueued soon after it is known', async () => {
    await system.postgres.query('alter table job_installation rename to away');
    const { progress } = start(undefined, 3_600_000);
    await until('the cause is reported', () => /job_installation/.test(progress.read().error?.message ?? ''));
    assert.equal(progress.read().movedMs, null);
    await system.postgres.query('alter table away rename to job_installation');
    await enqueued();
    assert.equal(progress.read().error, undefined);
  });

  it('are not enqueued while the database is a copy', async () => {
    await becomeCopy();
    let copies = 0;
    const { progress } = start(() => copies++);
    await until('a pass has been made', () => progress.read().movedMs !== null);
    assert.equal(copies, 1);
    assert.deepEqual(await system.postgres.query('select name from job_cron'), []);
  });

  it('are not enqueued once another dump was restored, even before the gate knows', async () => {
    const { progress, gate } = start();
    await enqueued();
    await becomeCopy();
    await until('the next tick is refused', () => progress.read().error !== undefined);
    assert.notEqual(gate.origin, undefined);
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { EncryptionKey } from '../../lib/core/config';
import { Redactor } from '../../lib/core/redact';
import { jobJson, limitJson } from '../../lib/job/admin/job-json';
import { argumentsText } from '../../lib/job/cli/list';
import { Cron } from '../../lib/job/cron/run-time-cron';
import type { JobClass } from '../../lib/job/definition/job-class';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { type Keyring, keyringOf } from '../../lib/job/record/encryption';
import { DeliverMailJob } from '../../lib/mailer/deliver-mail-job';
import { Mailer } from '../../lib/mailer/mailer';
import { until } from '../support/until';
import { useJobSystem } from './job-system';
import { setSources, setsOf } from './sets/set-sources';

const key = (id: string): EncryptionKey => ({ id, key: randomBytes(32).toString('base64') });
const OLD = key('2025b');
const NEW = key('2026a');
/** What no table and no event may hold. */
const SECRET = 'tuberculosis';

const ran: unknown[] = [];

class SecretJob extends Job<[diagnosis: string, due: Date]> {
  static override readonly encrypt = true;
  static override readonly unique = true;
  static override readonly limit = { count: 1, key: (diagnosis: string) => diagnosis };
  static override readonly tags = ['health'];

  perform(...args: [string, Date]): void {
    ran.push(args);
  }
}

class FailingJob extends Job<[diagnosis: string]> {
  static override readonly encrypt = true;

  static {
    this.retryOn(RangeError, { wait: 0, attempts: 2 });
  }

  override afterDiscard(_: Error, diagnosis: string): void {
    ran.push(`discarded ${diagnosis}`);
  }

  perform(diagnosis: string): void {
    ran.push(diagnosis);
    throw new RangeError('no');
  }
}

/** The same class before it encrypted. */
class PlainJob extends Job<[diagnosis: string]> {
  static override readonly jobName = 'FailingJob';
  perform(_diagnosis: string): void {}
}

class ClinicMailer extends Mailer<{ readonly diagnosis: string }> {
  static override readonly encrypt = true;
  static readonly result = this.action('result');
  result(_name: string) {
    return this.mail({ to: 'ada@example.com' });
  }
}

describe('classes that encrypt their arguments', () => {
  const dependencies: { keys: Keyring | undefined } = { keys: undefined };
  const system = useJobSystem({
    dependencies,
    reset: () => {
      ran.length = 0;
      dependencies.keys = keyringOf([OLD]);
    },
  });
  const DUE = new Date(0);

  const work = (encryptionKeys: readonly EncryptionKey[], ...classes: JobClass[]) =>
    system.processor(classes, { jobs: { encryptionKeys } });
  const stored = async (): Promise<string> => {
    const rows = await system.postgres.query<{ row: string }>(
      `select row_to_json(job)::text as row from job_queue as job
       union all select row_to_json(dead)::text from job_dead as dead
       union all select row_to_json(rate)::text from job_rates as rate`,
    );
    return rows.map(({ row }) => row).join('\n');
  };
  const jobOf = async (id: string, ...classes: JobClass[]) => {
    const { entry, held } = await setsOf(setSources(system)).find(id);
    const job = jobJson(entry ?? assert.fail('no job'), {
      jobs: new JobRegistry(classes),
      redactor: new Redactor(),
    });
    return { job, held: limitJson(job, held) as { readonly key: string | null } | null };
  };
  const told = () =>
    JSON.stringify(system.heard, (_, value: unknown) => {
      if (value instanceof Error) return value.stack;
      return typeof value === 'function' ? (value as () => unknown)() : value;
    });

  it('have them, their unique key and the key of their limit in no table, and run with them', async () => {
    const { id } = await SecretJob.performLater(SECRET, DUE);
    assert.deepEqual(await SecretJob.performLater(SECRET, DUE), { id, enqueued: false, reason: 'duplicate' });
    const other = await SecretJob.performLater(SECRET, new Date(1));
    assert.match(await stored(), /"encrypted":"2025b\.[\w-]+\.[\w-]+\.[\w-]+"/);
    assert.doesNotMatch(await stored(), new RegExp(SECRET));
    const keys = await system.postgres.query<{ limit_key: string; unique_key: string }>(
      'select limit_key, unique_key from job_queue',
    );
    assert.equal(new Set(keys.map((row) => row.limit_key)).size, 1, 'they share a limit');
    assert.equal(new Set(keys.map((row) => row.unique_key)).size, 2);
    const { job, held } = await jobOf(other.id, SecretJob);
    assert.deepEqual([job.args, job.args_redacted, job.tags], [null, 'encrypted', ['health']]);
    assert.equal(argumentsText(job), '(encrypted)');
    assert.equal(held?.key, null);
    // A page whose app has no such class, or one that no longer encrypts.
    assert.equal((await jobOf(id)).job.args_redacted, 'encrypted');

    await work([OLD], SecretJob);
    await until('both have run', () => ran.length === 2);
    assert.deepEqual(ran, [
      [SECRET, DUE],
      [SECRET, new Date(1)],
    ]);
    assert.ok(told().includes(id), 'the events were recorded');
    assert.doesNotMatch(told(), new RegExp(SECRET));
  });

  it('have them again in a retry and in afterDiscard, and encrypted in the dead set, where no search finds them', async () => {
    const { id } = await FailingJob.performLater(SECRET);
    await system.skipWaits();
    await work([OLD], FailingJob);
    await until('it is dead', async () => (await system.deadIds()).includes(id));
    assert.deepEqual(ran, [SECRET, SECRET, `discarded ${SECRET}`]);
    assert.doesNotMatch((await stored()) + told(), new RegExp(SECRET));
    const { dead } = setsOf(setSources(system));
    const encrypted = /"encrypted":"2025b\.([\w-]+)/.exec(await stored())?.[1] ?? assert.fail('not encrypted');
    assert.equal((await dead.page({ text: 'failingjob' })).total, 1);
    assert.equal((await dead.page({ text: encrypted })).total, 0);
  });

  it('are read with each of the keys, and wait for a processor that has theirs', async () => {
    const { id } = await SecretJob.performLater('old', DUE);
    dependencies.keys = keyringOf([NEW, OLD]);
    await SecretJob.performLater('new', DUE);
    assert.match(await stored(), /"encrypted":"2026a\./);
    await work([NEW], SecretJob);
    const [left] = await until('one is left to others', () => {
      const found = system.eventsNamed('job.left');
      return found.length > 0 && found;
    });
    assert.equal(left?.id, id);
    assert.match(left?.error.message ?? '', /"2025b".*JOB_ENCRYPTION_KEYS/);
    await until('the other has run', () => ran.length === 1);
    assert.equal((await jobOf(id, SecretJob)).job.attempts, 0);
    await system.stopProcessors();
    await system.postgres.query('update job_queue set run_at = now()');
    await work([NEW, OLD], SecretJob);
    await until('both have run', () => ran.length === 2);
    assert.deepEqual(ran, [
      ['new', DUE],
      ['old', DUE],
    ]);
  });

  it('are dead when they were changed, or moved to another job or class', async () => {
    for (const name of ['moved', 'other', 'changed']) await FailingJob.set({ tags: [name] }).performLater(name);
    const take = (tag: string, sql: string) =>
      system.postgres.query(
        `update job_queue set payload = jsonb_set(payload::jsonb, '{encrypted}', to_jsonb((${sql})::text))
         where '${tag}' = any(tags)`,
      );
    const itself = `payload ->> 'encrypted'`;
    await take('moved', `select ${itself} from job_queue where 'other' = any(tags)`);
    await take('other', `'2025b.AAAA'`);
    // The last character of a text that is not whole in base64 may mean the same as another.
    await take('changed', `translate(left(${itself}, -4), 'Aa', 'aA') || 'AAAA'`);
    await work([OLD], FailingJob);
    await until('all are dead', async () => (await system.deadIds()).length === 3);
    assert.deepEqual(ran, []);
    for (const id of await system.deadIds())
      assert.match((await jobOf(id, FailingJob)).job.reason ?? '', /encrypted arguments of FailingJob cannot be read/);
  });

  it('are refused without a key, before anything is enqueued', async () => {
    dependencies.keys = undefined;
    const refused = { name: 'UserError', exitCode: 78, message: /SecretJob.*JOB_ENCRYPTION_KEYS/ };
    await assert.rejects(SecretJob.performLater(SECRET, DUE), refused);
    assert.equal(await system.jobCount(), 0);
    class WrongJob extends Job {
      static override readonly encrypt = 'yes' as unknown as boolean;
      perform(): void {}
    }
    assert.throws(() => new JobRegistry([WrongJob]), /WrongJob: encrypt is "yes"; give true or false/);
  });

  it('may have jobs from before, or from elsewhere, that are plain; they are shown no more', async () => {
    const { id } = await PlainJob.performLater(SECRET);
    assert.equal((await jobOf(id, FailingJob)).job.args_redacted, 'encrypted');
    await work([], FailingJob);
    await until('it has run', () => ran.length > 0);
    assert.equal(ran[0], SECRET);
    assert.doesNotMatch(told(), new RegExp(SECRET));
  });

  it('have them encrypted in a recurring job, too, whose times wait for its key', async () => {
    const declare = () => Cron.upsert('report', { class: SecretJob, at: '* * * * * *', args: [SECRET, DUE] });
    await declare();
    const rows = await system.postgres.query('select args from job_cron');
    assert.match(JSON.stringify(rows), /^\[\{"args":\{"encrypted":"2025b\.[^"]+"\}\}\]$/);
    await work([NEW], SecretJob);
    await until('it has no key', () => system.eventsNamed('cron.error').length > 0);
    const [{ name, error } = {}] = system.eventsNamed('cron.error');
    assert.deepEqual([name, error?.name], ['report', 'MissingKeyError']);
    await system.stopProcessors();
    await work([NEW, OLD], SecretJob);
    await until('it has run', () => ran.length > 0);
    assert.deepEqual(ran[0], [SECRET, DUE]);
    assert.doesNotMatch((await stored()) + told(), new RegExp(SECRET));
    dependencies.keys = undefined;
    await assert.rejects(declare(), /JOB_ENCRYPTION_KEYS/);
  });

  it('may be mailers, whose jobs then hold neither arguments nor params', async () => {
    const { id } = await ClinicMailer.with({ diagnosis: SECRET }).result('Ada Lovelace').deliverLater();
    assert.doesNotMatch(await stored(), new RegExp(`${SECRET}|Lovelace`));
    const { job } = await jobOf(id, DeliverMailJob);
    assert.deepEqual([job.queue, job.args_redacted, job.tags], ['mailer', 'encrypted', ['ClinicMailer#result']]);
    await work([OLD], DeliverMailJob);
    // This process has no mailers, which is an error of the run: so its arguments were read.
    await until('it has failed', () => system.eventsNamed('job.retrying').length > 0);
    const [failed] = system.eventsNamed('job.retrying');
    assert.match(failed?.error.message ?? '', /ClinicMailer\.result/);
    assert.doesNotMatch(told(), new RegExp(`${SECRET}|Lovelace`));
  });
});

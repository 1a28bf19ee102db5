import assert from 'node:assert/strict';
import { readSettings } from '../../lib/core/settings';
import { Job } from '../../lib/job/job';
import { Mailer } from '../../lib/mailer/mailer';
import { transaction } from '../../lib/model/transaction';
import { deferred } from '../../lib/support/deferred';
import { JobSystem } from '../job/job-system';
import { startSmtpSink } from '../support/smtp';
import { inSuite } from '../support/suite';
import { until } from '../support/until';
import { folderOf, useSmtpDelivery } from './mail-system';

class NewsMailer extends Mailer {
  static override readonly layout = false;
  static readonly news = this.action('news');
  news(to: string) {
    return this.mail({ to, subject: 'News' });
  }
}

for (const concurrency of [1, 8]) {
  describe(`mails sent inside transactions by ${concurrency} jobs at once`, () => {
    const sink = inSuite('stop', startSmtpSink);
    const system = inSuite('stop', () => {
      const { databasePool } = readSettings({ env: { JOB_CONCURRENCY: String(concurrency) }, cwd: '/nowhere' });
      return JobSystem.start({}, { migrated: true, poolMax: databasePool.jobs });
    });
    useSmtpDelivery(
      () => [system.database.knex, system.events],
      sink,
      () => ({ templatesDir: folderOf({ 'news_mailer/news/text.ejs': 'Hello' }) }),
    );
    let holding = 0;
    let go = deferred<void>();

    class NewsJob extends Job<[to: string]> {
      async perform(to: string): Promise<void> {
        await transaction(async (trx) => {
          await trx.raw('select 1');
          // Every job holds its connection before any requests a second one.
          holding += 1;
          if (holding >= concurrency) go.resolve();
          await go.promise;
          await NewsMailer.news(to).deliverNow();
        });
      }
    }

    it('find a connection for their delivery records, whatever else the processor does', async () => {
      const rounds = 3;
      await system.processor([NewsJob], { jobs: { concurrency } });
      for (let round = 0; round < rounds; round++) {
        holding = 0;
        go = deferred<void>();
        // Jobs enqueued in a transaction keep the rows of jobs busy on the same pool.
        const jobs = Array.from({ length: concurrency }, (_, n) => [`u${round}-${n}@example.com`] as const);
        await transaction(() => NewsJob.performAllLater(jobs));
        await sink.waitFor((round + 1) * concurrency);
      }
      await until('all have succeeded', () => system.eventsNamed('job.succeeded').length === rounds * concurrency);
      for (const name of ['job.retrying', 'mail.failed', 'database.error', 'queue.error', 'process.error'] as const)
        assert.deepEqual(system.eventsNamed(name), [], name);
    });
  });
}

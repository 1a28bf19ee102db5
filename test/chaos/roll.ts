import assert from 'node:assert/strict';
import path from 'node:path';
import { MailLedger } from '../process/mail-ledger';
import { buildFixtureApp } from '../support/fixture-app';
import { UNLIMITED } from '../support/sign-up-limits';
import { tempFolder } from '../support/temp-folder';
import { spawnTree } from '../support/tree';
import { until } from '../support/until';
import { balance } from './balance';
import { JobLedger, Ledger } from './ledger';
import { Fleet } from './scene/fleet';
import { Front } from './scene/front';
import { ChaosPostgres } from './scene/postgres';
import { RedisPair } from './scene/redis-pair';
import { Traffic } from './traffic';

export interface RollOptions {
  readonly trees: number;
  /** Folder of a built checkout whose trees are replaced by those of this one. Default: this checkout. */
  readonly from?: string | undefined;
}

/** A tree and its successor have 7 connections each at most, and the run has some of its own. */
const CONNECTIONS_A_TREE = 8;
/** Errors in the log. A 503 of /ready, which a tree that is not ready gives to the front, does not count. */
const ERROR_LINE = /"level":"(error|fatal)"(?!.*"path":"\/ready","status":503)/;

/** All trees of a fleet are replaced one after the other, while people sign up, read and enqueue jobs. */
export function rollingDeploy({ trees, from }: RollOptions): void {
  describe(`a rolling deploy of ${trees} trees from ${from ?? 'this build'}`, function () {
    this.timeout(60 * 60_000);

    it('loses no request, no job, no mail and no tick, and neither release logs an error', async () => {
      const folder = tempFolder('roll');
      const entry = await buildFixtureApp('chaos-app');
      const before = from === undefined ? entry : await buildFixtureApp('chaos-app', path.resolve(from));
      const [postgres, redis, mails, front] = await Promise.all([
        ChaosPostgres.make({ connections: (trees + 2) * CONNECTIONS_A_TREE, migrated: false }),
        RedisPair.start(),
        MailLedger.start(),
        Front.start(),
      ]);
      const jobLedger = new JobLedger(path.join(folder, 'job-ledger'));
      const env = {
        NODE_ENV: 'production',
        DATABASE_URL: postgres.urlBy(postgres.port),
        REDIS_URL: redis.url,
        SMTP_URL: mails.url,
        APP_URL: 'https://chaos.example',
        WEB_CONCURRENCY: '1',
        JOB_CONCURRENCY: '2',
        DATABASE_POOL: '3',
        CHAOS_BOOK: jobLedger.file,
        ...UNLIMITED,
      };
      const fleet = new Fleet(front, env);
      const ledger = new Ledger();
      const traffic = new Traffic(front.baseUrl, ledger);
      const say = (line: string) => void process.stdout.write(`      ${line}\n`);
      /** Migrates as the release phase of a platform does. */
      const migrate = async (release: string) => {
        const tree = spawnTree({ entry: release, env, args: ['migrate'] });
        assert.deepEqual(await tree.exited, { code: 0, signal: null }, tree.lines.map(({ text }) => text).join('\n'));
        await tree.cleanup();
      };
      try {
        await migrate(before);
        await postgres.makeNotes();
        for (let n = 0; n < trees; n++) await fleet.add(before);
        say(`${trees} trees serve`);
        traffic.start();
        await until('people have signed up', () => ledger.users.length > 20);
        await migrate(entry);
        await fleet.roll(entry, (count) => say(`${count} of ${trees} replaced, ${ledger.served} requests served`));
        const { length } = ledger.users;
        await until('more people have signed up', () => ledger.users.length > length + 20);
        await traffic.stop();
        const platform = { gaveUp: fleet.gaveUp };
        const result = await balance({ ledger, mails, incidents: [], postgres, redis, jobLedger, platform });
        await fleet.stop();
        const { losses, duplicates, ...counts } = result;
        say(JSON.stringify({ served: ledger.served, failed: ledger.mishaps.length, ...counts }));
        assert.deepEqual(ledger.mishaps, [], 'requests that failed or were shed');
        assert.deepEqual([losses, duplicates, fleet.gaveUp], [[], [], []]);
        assert.deepEqual(fleet.lines(ERROR_LINE), []);
      } finally {
        await traffic.stop();
        await fleet.cleanup();
        await Promise.all([front.stop(), redis.stop(), mails.stop(), postgres.remove()]);
      }
    });
  });
}

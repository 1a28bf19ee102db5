import assert from 'node:assert/strict';
import { Events } from '../../lib/core/events';
import { pauseQueue } from '../../lib/job/row/pauses';
import { Database } from '../../lib/model/database';
import { pageTexts, TEXTS } from '../../lib/ops/ui/texts';
import { Deadline } from '../../lib/support/deadline';
import { catamountWith } from '../cluster/primary/operator';
import { storeDead } from '../job/sets/stored-job';
import { ScrapedText } from '../ops/metrics/scrape';
import { cookiesOf, SIGNED, signInTo } from '../ops/ops-web';
import { usePostgres, useRedisServer } from '../support/stores';
import { spawnTree, startTree, type Tree } from '../support/tree';
import { until } from '../support/until';
import { type Told, timeless, toldByCommand, toldByPage } from './told';

const TOKEN = 'sesame-opens-0123456789';

/** `issues.test.ts` has every issue, with made-up statuses; this has some, with a real tree. */
describe('the issues of a real tree, as /ops, top, status and the metrics report them:', () => {
  const database = usePostgres();
  const redis = useRedisServer();
  let tree: Tree;
  let cookie: string;
  before(async () => {
    const settings = { ...SIGNED, METRICS_TOKEN: TOKEN, WEB_CONCURRENCY: '1' };
    tree = await startTree({ env: { ...env(), ...settings } });
    cookie = cookiesOf(await signInTo(tree, SIGNED.OPS_PASSWORD));
  });
  after(() => tree?.cleanup());

  const env = () => ({
    NODE_ENV: 'production',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    MAIL_DELIVERY: 'log',
    MAIL_FROM: 'a@shop.example',
    APP_URL: 'https://shop.example',
  });

  const onThePage = (locale: 'en' | 'ko') => toldByPage(tree, { cookie }, locale);

  async function inTheTerminal(command: 'status' | 'top', exitCode: number): Promise<Told> {
    const { code, stdout, ...told } = await toldByCommand(tree, env(), command);
    assert.equal(code, exitCode, stdout);
    return told;
  }

  async function inTheMetrics(): Promise<string[]> {
    const answer = await tree.request('GET', '/ops/metrics', { headers: { Authorization: `Bearer ${TOKEN}` } });
    const lines = ScrapedText.of(answer).metrics.get('catamount_issues')?.lines ?? [];
    return lines.flatMap(({ labels, value }) => (value > 0 ? [labels.code ?? ''] : [])).sort();
  }

  /** All four report these issues and no others, each in its own form. @param exitCode of `status`. */
  async function assertReported(codes: readonly string[], exitCode: number): Promise<void> {
    const reported = async () => {
      assert.deepEqual(await inTheMetrics(), [...codes].sort());
      const english = await onThePage('en');
      assert.equal(english.lines.length, codes.length);
      for (const command of ['status', 'top'] as const) {
        const { title, lines } = await inTheTerminal(command, command === 'status' ? exitCode : 0);
        assert.equal(title, english.title);
        assert.deepEqual(lines.map(timeless), english.lines.map(timeless));
      }
      const korean = await onThePage('ko');
      assert.equal(korean.lines.length, codes.length);
      for (const [n, line] of korean.lines.entries()) {
        assert.match(line, /\p{Script=Hangul}/u);
        assert.deepEqual(numbersIn(timeless(line)), numbersIn(timeless(english.lines[n] ?? '')), line);
      }
      const key = `overview.verdict.${codes.length === 0 ? 'well' : 'needs'}`;
      for (const [locale, { title }] of Object.entries({ en: english, ko: korean }))
        assert.equal(title, pageTexts(TEXTS).in(locale)(key, { count: codes.length }));
      return english;
    };
    const { lines } = await until(`all report ${codes.join() || 'that all is well'}`, reported, { everyMs: 200 });
    assert.doesNotMatch(lines.join('\n'), /select |relation /);
  }

  it('migrations that nobody has run', async () => {
    await assertReported(['migrationsPending'], 3);
    assert.match((await onThePage('en')).lines.join(), /catamount db migrate/);
  });

  it('none once they have run, and the tree is ready', async () => {
    const migration = spawnTree({ args: ['migrate'], env: env() });
    assert.equal((await migration.exited).code, 0);
    await migration.cleanup();
    await assertReported([], 0);
    assert.equal((await tree.request('GET', '/ready')).status, 200);
  });

  it('none while something cannot be read, and status fails', async () => {
    await database.query('alter table mail_deliveries rename to away');
    try {
      const { code, stdout } = await catamountWith(env(), tree.cwd, 'status');
      assert.equal(code, 1, stdout);
    } finally {
      await database.query('alter table away rename to mail_deliveries');
    }
  });

  it('a paused queue and dead jobs', async () => {
    const connection = new Database(database.url, { production: false, events: new Events() });
    await pauseQueue(connection.knex, 'mailer', 'cli:ada');
    for (let n = 0; n < 3; n++) await storeDead(connection.knex, { at: Date.now(), errors: ['no'] });
    await connection.stop(Deadline.after(1000));
    await assertReported(['paused', 'deaths'], 2);
  });
});

function numbersIn(text: string): string[] {
  return (text.match(/\d+(?:\.\d+)*/g) ?? []).sort();
}

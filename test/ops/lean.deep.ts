import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { removeFolder, tempFolder } from '../support/temp-folder';
import { startTree, type Tree } from '../support/tree';
import { cookiesOf, SIGNED, signInTo } from './ops-web';

interface Report {
  readonly title: string;
  readonly loaded: readonly string[];
  readonly intl: readonly string[];
}

const PRELOAD = path.join(__dirname, 'report-worker.cjs');

describe("the modules that the operator's pages load in a worker", () => {
  let database: TestDatabase;
  let redis: TestRedis;
  let reports: string;
  let tree: Tree | undefined;
  before(async () => {
    database = await createDatabase({ migrated: true });
    redis = await startTestRedis();
    reports = tempFolder('reports');
  });
  afterEach(async () => {
    await tree?.cleanup();
    tree = undefined;
  });
  after(async () => {
    removeFolder(reports);
    await redis.remove();
    await database.drop();
  });

  /** @returns what the only worker has loaded when it ends. */
  const loadedBy = async (visit: (tree: Tree) => Promise<void>): Promise<Report> => {
    tree = await startTree({
      env: {
        ...SIGNED,
        NODE_ENV: 'production',
        WEB_CONCURRENCY: '1',
        DATABASE_URL: database.url,
        REDIS_URL: redis.url,
        MAIL_DELIVERY: 'log',
        APP_URL: 'http://127.0.0.1',
        NODE_OPTIONS: `--require ${PRELOAD}`,
        REPORT_TO: reports,
      },
    });
    await visit(tree);
    assert.equal((await tree.stop()).code, 0);
    const all = fs.readdirSync(reports).map((file) => path.join(reports, file));
    const read = all.map((file) => JSON.parse(fs.readFileSync(file, 'utf8')) as Report);
    for (const file of all) fs.rmSync(file);
    return read.find(({ title }) => title.startsWith('catamount: web')) ?? assert.fail('no worker has reported');
  };

  const get = async (from: Tree, target: string, cookie = '') => {
    const answer = await from.request('GET', target, { headers: { Cookie: cookie } });
    assert.equal(answer.status, 200, target);
    return answer;
  };

  const signIn = async (to: Tree) => cookiesOf(await signInTo(to, SIGNED.OPS_PASSWORD));

  const below = ({ loaded }: Report, ...folders: readonly string[]) =>
    loaded.filter((file) => folders.some((folder) => file.includes(folder)));
  const namesOf = (files: readonly string[]) => files.map((file) => path.basename(file)).sort();

  it('are only those of the overview while that is open: no other pages, no actions on jobs, no i18next or Intl data', async () => {
    const report = await loadedBy(async (asked) => {
      const cookie = await signIn(asked);
      const page = await get(asked, '/ops', cookie);
      for (const [, asset = ''] of page.body.matchAll(/(?:src|href)="(\/ops\/assets\/[^"]+)"/g))
        await get(asked, asset);
      await get(asked, '/ops/charts.json', cookie);
      await get(asked, '/ops.json', cookie);
    });
    assert.ok(below(report, '/lib/ops/overview/', '/lib/health/').length > 8);
    assert.deepEqual(namesOf(below(report, '/lib/ops/jobs/')), ['header-counts.js']);
    assert.deepEqual(below(report, '/lib/ops/mail/', '/lib/ops/processes/', '/lib/ops/metrics/', '/embedded/'), []);
    assert.deepEqual(namesOf(below(report, '/job/sets/').filter((file) => /move|-set\.js/.test(file))), []);
    assert.deepEqual(
      below(report, '/node_modules/i18next/', '/node_modules/cronstrue/', '/node_modules/prom-client/'),
      [],
    );
    assert.deepEqual(report.intl, []);
  });
});

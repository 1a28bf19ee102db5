import assert from 'node:assert/strict';
import path from 'node:path';
import { catamount, runNode } from '../cli/cli-process';
import { appFolder } from '../support/app-folder';
import { inSuite } from '../support/suite';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { useDeployment } from './deployment';
import { useJobsApp } from './jobs-app';

const TSC = path.resolve(__dirname, '../../node_modules/typescript/bin/tsc');
const FAILING = `import { Job } from 'catamount';

export default class FailingJob extends Job<[why: string]> {
  static override readonly thread = true;
  static override retry = { limit: 0 };

  perform(why: string): void {
    throw new RangeError(why);
  }
}
`;
/** An app of ES modules in TypeScript. */
const SOURCES: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "shop", "type": "module" }',
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      ...{ target: 'es2023', module: 'nodenext', strict: true, skipLibCheck: true },
      ...{ rootDir: 'src', outDir: 'dist', sourceMap: true },
      types: ['node'],
    },
    include: ['src'],
  }),
  'src/server.ts': `import { boot } from 'catamount';\nimport app from './app.js';\nawait boot(app);`,
  'src/app.ts': `import { defineApp } from 'catamount';
    export default defineApp({
      name: 'shop',
      root: import.meta.dirname,
      migrations: false,
      routes: () => import('./routes.js'),
    });`,
  'src/routes.ts': `import type { Routes } from 'catamount';
    import FailingJob from './jobs/failing.js';
    const routes: Routes = (router) => {
      router.post('/fail', async (ctx) => {
        await FailingJob.performLater('as told');
        ctx.status = 202;
      });
    };
    export default routes;`,
  'src/jobs/failing.ts': FAILING,
};

describe('jobs in the threads of a tree', () => {
  const app = useJobsApp();
  const tree = inSuite(undefined, () => app.start({ JOB_CONCURRENCY: '3', JOB_THREADS: '2' }));

  const spinning = () => app.entries().filter(({ spins }) => spins !== undefined);
  const run = (number: number) =>
    until(`${number} has run`, () => app.entries().some((entry) => entry.number === number));

  it('run beside others, with no more connections than its status announces', async () => {
    for (const number of [1, 2]) await tree.request('POST', `/spinning?number=${number}`);
    for (const number of [1, 2]) await run(number);
    await tree.request('POST', '/numbered?from=10&count=2');
    for (const number of [10, 11]) await run(number);
    const told = JSON.parse((await catamount(tree.cwd, ['status', '--json'])).stdout) as {
      readonly tree: { readonly limits: { readonly database_connections: number } };
    };
    // The pools of the worker and the processor, the connection that LISTENs, and the threads.
    assert.equal(told.tree.limits.database_connections, 5 + 4 + 1 + 2);
    const open = await app.connections();
    assert.ok(open <= told.tree.limits.database_connections, `${open} connections`);
  });

  it('run again after kill -9 of their processor, and end when the command line cancels them', async () => {
    const from = tree.lines.length;
    const before = spinning();
    process.kill(tree.processes().jobs ?? assert.fail('no processor'), 'SIGKILL');
    await tree.waitForLine(/job processor \(pid \d+\) is ready/, { from });
    await until('both spin again', () => spinning().length === before.length + 2);
    const [dead, living] = [before[0]?.pid, tree.processes().jobs];
    assert.deepEqual(
      spinning().map(({ pid, attempt }) => [pid, attempt]),
      [dead, dead, living, living].map((pid) => [pid, 1]),
    );
    const ids = before.map(({ spins }) => spins ?? '');
    const answer = await app.type('jobs', 'cancel', ...ids);
    assert.equal(answer.code, 0, answer.stderr);
    await until('both have left', async () => (await app.unfinished()).length === 0);
    assert.equal(tree.processes().jobs, living, 'the processor lives on');
    await until('both are told of', () => tree.linesMatching(/SpinningJob.*cancelled/).length === 2);
  });
});

describe('the threads of an app of ES modules that was compiled', () => {
  const deployment = useDeployment();
  let folder: string;
  before(async () => {
    folder = appFolder(SOURCES, ['@types']);
    const { code, stdout } = await runNode(folder, [TSC, '-p', '.']);
    assert.equal(code, 0, stdout);
  });
  after(() => removeFolder(folder));

  for (const [environment, options] of Object.entries({ development: '', production: '--enable-source-maps' }))
    it(`name the source and its line where a job has failed, in ${environment}`, async () => {
      const tree = await deployment.start({
        entry: path.join(folder, 'dist/server.js'),
        cwd: folder,
        env: { NODE_ENV: environment, NODE_OPTIONS: options, JOB_THREADS: '1', WEB_CONCURRENCY: '1' },
      });
      assert.equal((await tree.request('POST', '/fail')).status, 202);
      const dead = () => deployment.database.query<{ history: string }>('select history::text from job_dead');
      await until('it is dead', async () => (await dead()).length === 1);
      const line = FAILING.split('\n').findIndex((text) => text.includes('throw')) + 1;
      assert.match(
        (await dead())[0]?.history ?? '',
        new RegExp(`RangeError: as told.*/src/jobs/failing\\.ts:${line}:11`),
      );
      await deployment.database.query('delete from job_dead');
      await tree.stop();
    });
});

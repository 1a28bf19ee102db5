import assert from 'node:assert/strict';
import { runNode } from '../cli/cli-process';
import { useSupervisorApp } from '../cluster/primary/supervisor-app';
import { ScrapedText } from '../ops/metrics/scrape';
import { BEARER, OPS_TOKEN } from '../ops/ops-web';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';

describe('two trees under one REDIS_PREFIX, --only web beside --only jobs', () => {
  const app = useSupervisorApp();
  let web: Tree;
  let env: Readonly<Record<string, string>>;
  let release: () => void;
  const cwd = tempFolder('fleet');
  before(async () => {
    env = {
      ...app.env,
      NODE_ENV: 'development',
      REDIS_PREFIX: 'shop',
      OPS_TOKEN,
      WEB_CONCURRENCY: '1',
      JOB_CONCURRENCY: '1',
      JOB_LATENCY_WARNING: '1s',
    };
    release = app.switchOn('hold');
    web = await app.start({ ...env, DYNO: 'web.1' }, { args: ['--only', 'web'] });
    const jobs = app.spawn({ ...env, DYNO: 'worker.1' }, { args: ['--only', 'jobs'] });
    await jobs.waitForLine(/job processor \(pid \d+\) is ready/);
    // The first job occupies the only slot, so that the second one waits for longer than the warning allows.
    for (const name of ['held', 'late'])
      assert.equal((await web.request('POST', `/waiting-job?name=${name}&flag=hold`)).status, 202);
  });
  after(async () => {
    release();
    removeFolder(cwd);
  });

  const get = async (target: string) => {
    const answer = await web.request('GET', target, { headers: { ...BEARER, Accept: 'text/html' } });
    assert.equal(answer.status, 200, answer.body);
    return answer;
  };
  const command = async (...words: string[]) => {
    const { code, stdout, stderr } = await runNode(cwd, [app.entryFile, 'jobs', ...words], env);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  it('the command line counts the job processor, and lists the running job', async () => {
    await until('the job is running', async () => /WaitingJob/.test(await command('list', 'busy')));
    const { busy, processes } = await until('the processor is counted', async () => {
      const stats = JSON.parse(await command('stats', '--json')) as { busy: number; processes: number };
      return stats.processes > 0 && stats;
    });
    assert.deepEqual([busy, processes], [1, 1]);
  });

  it('the pages show both trees and each of them, and do not say that nobody serves the queue', async () => {
    type Overview = { trees: { id: string; name: string }[] | null; issues: { code: string }[] };
    const read = async () => (await get('/ops.json')).json<Overview>();
    const codes = async () => (await read()).issues.map(({ code }) => code);
    const told = await until('the waiting job is late', async () =>
      (await codes()).find((code) => ['late', 'slotsHeld', 'unserved'].includes(code)),
    );
    assert.notEqual(told, 'unserved');
    const trees = (await read()).trees ?? [];
    assert.deepEqual(
      trees.map(({ name }) => name),
      ['web.1', 'worker.1'],
    );
    const page = (await get('/ops')).body;
    assert.match(page, /web\.1[\s\S]*worker\.1/);
    assert.doesNotMatch(page, /Nobody serves/);
    const other = trees.find(({ name }) => name === 'worker.1');
    assert.match((await get(`/ops?tree=${other?.id}`)).body, /Tree worker\.1/);
  });

  it('the metrics count the job processor', async () => {
    const scraped = ScrapedText.of(await get('/ops/metrics'));
    assert.equal(scraped.sum('catamount_job_processors'), 1);
  });
});

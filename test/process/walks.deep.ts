import assert from 'node:assert/strict';
import path from 'node:path';
import { Stage } from '../cluster/primary/stage';
import { cookiesOf, SIGNED, tokenIn } from '../ops/ops-web';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { Surroundings } from './surroundings';
import { filesOf, WalkRecorder } from './walk';

/**
 * The number of our files that each action may enter. A reader who follows it opens no more, except for tables that are
 * only read, such as that of `core/shutdown`. All four are at their goals.
 */
const MAX_FILES = { 'POST /users': 20, 'a job': 16, 'a retry': 22, SIGTERM: 22 } as const;
/** A stop is compared with a rest in which everything that runs every ten seconds, or more often, has run. */
const REST_MS = 11_000;
/** Code that runs less often falls into one of them at most. */
const STOPS = 2;

function assertShort(walk: keyof typeof MAX_FILES, files: readonly string[]): void {
  assert.ok(files.length > 5, `${walk} enters ${files.join(', ')} only: was it done at all?`);
  assert.ok(files.length <= MAX_FILES[walk], `${walk} enters ${files.length} files:\n${files.join('\n')}`);
}

describe('the walks', () => {
  const folder = tempFolder('walks');
  const recorder = (name: string) => new WalkRecorder(path.join(folder, name));
  after(() => removeFolder(folder));

  describe('of the sample app', () => {
    let around: Surroundings;
    before(async () => {
      around = await Surroundings.make();
    });
    after(() => around.remove());

    const started = async (walks: WalkRecorder) => {
      const tree = await around.start({ env: walks.env });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      await until('all have their titles', () => tree.processes().jobs && tree.processes().web.get(0));
      return tree;
    };

    const signUp = async (tree: Tree, name: string) => {
      const answer = await tree.request('POST', '/users', { json: { email: `${name}@example.com`, name } });
      assert.equal(answer.status, 201, answer.body);
    };

    it('are short for a sign-up in the worker', async () => {
      const walks = recorder('users');
      const tree = await started(walks);
      await signUp(tree, 'first');
      await around.sink.waitFor(1);
      const files = await walks.walk(tree, 'web', (n) => signUp(tree, `walker${n}`));
      assert.equal((await tree.stop()).code, 0);
      await tree.allGone();
      assertShort('POST /users', files);
    });

    it('are short for SIGTERM, through all processes of an idle tree', async () => {
      const stops: Set<string>[] = [];
      for (let n = 0; n < STOPS; n++) {
        const walks = recorder(`stop-${n}`);
        stops.push(await walks.stop(await started(walks), REST_MS));
      }
      const inAll = [...(stops[0] ?? [])].filter((name) => stops.every((stop) => stop.has(name)));
      assertShort('SIGTERM', filesOf(inAll));
    });
  });

  describe('of jobs', () => {
    let stage: Stage;
    let tree: Tree;
    let walks: WalkRecorder;
    before(async () => {
      stage = await Stage.make();
      walks = recorder('jobs');
      tree = await stage.start({ ...walks.env, ...SIGNED });
      await tree.waitForLine(/job processor \(pid \d+\) is ready/);
      await until('all have their titles', () => tree.processes().jobs && tree.processes().web.get(0));
    });
    after(() => stage.remove());

    it('are short for a job in the processor', async () => {
      const run = async (name: string) => {
        const from = tree.lines.length;
        assert.equal((await tree.request('POST', `/patient-job?name=${name}&flag=none`)).status, 202);
        await tree.waitForLine(/PatientJob done/, { from });
      };
      await run('first');
      assertShort('a job', await walks.walk(tree, 'jobs', (n) => run(`job-${n}`)));
    });

    it('are short for the retry of a dead job in the worker', async () => {
      const post = async (target: string, fields: Record<string, string>, cookie: string) => {
        const answer = await tree.request('POST', target, {
          body: new URLSearchParams(fields).toString(),
          headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: tree.baseUrl, Cookie: cookie },
        });
        assert.equal(answer.status, 303, answer.body);
        return answer;
      };
      const page = await tree.request('GET', '/ops/sign-in');
      const fields = { name: SIGNED.OPS_USER, password: SIGNED.OPS_PASSWORD, token: tokenIn(page.body) };
      const cookie = cookiesOf(await post('/ops/sign-in', fields, cookiesOf(page)));
      const die = async () => {
        const from = tree.lines.length;
        assert.equal((await tree.request('POST', '/gloomy-job')).status, 202);
        return String((await tree.waitForLine(/GloomyJob is dead/, { from })).json.jobId);
      };
      const ids: string[] = [];
      for (let n = 0; n < 21; n++) ids.push(await die());
      const list = await tree.request('GET', '/ops/jobs/dead', { headers: { Cookie: cookie } });
      const token = tokenIn(list.body);
      const retry = async (id: string) => {
        const from = tree.lines.length;
        await post('/ops/jobs/dead/action', { action: 'retry', id: `default/${id}`, token }, cookie);
        await tree.waitForLine(/GloomyJob is dead/, { from });
      };
      await retry(ids[20] ?? '');
      assertShort('a retry', await walks.walk(tree, 'web', (n) => retry(ids[n] ?? '')));
    });
  });
});

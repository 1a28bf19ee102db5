import assert from 'node:assert/strict';
import path from 'node:path';
import { defineApp } from '../../../lib';
import { type KeptProfile, ProfileFolder } from '../../../lib/cluster/profiles';
import { inSuite } from '../../support/suite';
import { removeFolder, tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { cookiesOf, OpsWeb, tokenIn } from '../ops-web';
import { viewOf } from '../page-view';

const HOUR = 3_600_000;
const PATH = '/ops/profiles';

/** An app whose own sign-in is a header. */
const APP = defineApp({
  name: 'shop',
  root: __dirname,
  ops: {
    authorize: (ctx) => ({ name: ctx.get('X-User'), role: ctx.get('X-User') === 'ada' ? 'operator' : 'viewer' }),
  },
});

describe('the page of profiles', () => {
  const ops = inSuite('stop', () => OpsWeb.start({}, APP));
  const as = (user: string) => ({ Authorization: '', 'X-User': user });
  const page = async () => viewOf((await ops.get(PATH, as('ada'))).body);
  const listed = async () => {
    const answer = await ops.get(`${PATH}.json`, as('ada'));
    return answer.json<{ readonly profiles: readonly { readonly name: string; readonly complete: boolean }[] }>()
      .profiles;
  };

  async function take(user: string, fields: Readonly<Record<string, string>>) {
    const form = await ops.get(PATH, as(user));
    return ops.post(PATH, { token: tokenIn(form.body), ...fields }, { ...as(user), Cookie: cookiesOf(form) });
  }

  it('takes one, shows it as a flame graph, and has it for download; the audit says who took it', async () => {
    assert.match((await page()).text, /There is no profile yet/);
    const pid = String(process.pid);
    assert.equal((await take('ada', { pid, seconds: '1', kind: 'cpu' })).status, 303);
    const refused = await take('ada', { pid, seconds: '1', kind: 'cpu' });
    assert.equal(refused.status, 409);
    assert.match(
      viewOf(refused.body).notes.join(),
      /one at a time: the CPU profile of primary \(pid \d+\) is being taken/,
    );
    assert.equal((await ops.get(PATH, as('ada'))).headers.refresh, '2');
    const [taken = assert.fail()] = await until('it is complete', async () => {
      const profiles = await listed();
      return profiles.every(({ complete }) => complete) ? profiles : undefined;
    });
    const { links, rows } = await page();
    assert.deepEqual(rows[0]?.slice(0, 2), [`Primary pid ${pid}`, 'CPU profile']);
    assert.equal(links.get('Download'), `${PATH}/${taken.name}`);
    const flame = new URL(links.get('Flame graph') ?? '', 'http://here');
    assert.equal(new URLSearchParams(flame.hash.slice(1)).get('profileURL'), `${PATH}/${taken.name}`);
    const file = await ops.get(`${PATH}/${taken.name}`, as('ada'));
    assert.equal(file.headers['content-disposition'], `attachment; filename="${taken.name}"`);
    assert.ok(file.json<{ readonly nodes: readonly object[] }>().nodes.length > 1);
    const viewer = await ops.get(flame.pathname, as('ada'));
    assert.match(
      String(viewer.headers['content-security-policy']),
      /default-src 'none'.*script-src 'self' 'wasm-unsafe-eval';/,
    );
    const [, script = ''] = /<script src="([^"]+)"/.exec(viewer.body) ?? [];
    assert.equal((await ops.get(`/ops/profiles/flame/${script}`, as('ada'))).status, 200);
    await until('it is in the audit', async () =>
      new RegExp(`CPU profile of pid ${pid} requested by operator ada`).test(
        (await ops.get('/ops/audit', as('ada'))).body,
      ),
    );
  });

  it('lets viewers take none, and see no heap', async () => {
    const folder = new ProfileFolder({ stateDir: path.join(ops.folder, '.catamount') });
    const heap = folder.begin({ kind: 'heap', process: 'worker 0', pid: 77, automatic: false });
    heap.done();
    const pid = String(process.pid);
    assert.equal((await take('ada', { pid: '1', seconds: '1', kind: 'cpu' })).status, 409);
    assert.equal((await take('ada', { pid: '-', seconds: '1', kind: 'cpu' })).status, 400);
    const form = await ops.get('/ops/jobs/queues', as('vic'));
    const fields = { token: tokenIn((await ops.get(PATH, as('ada'))).body), pid, seconds: '1', kind: 'heap' };
    assert.equal((await ops.post(PATH, fields, { ...as('vic'), Cookie: cookiesOf(form) })).status, 403);
    const seen = viewOf((await ops.get(PATH, as('vic'))).body);
    assert.deepEqual(
      seen.buttons.filter((button) => /Take|Download/.test(button)),
      ['Download'],
    );
    for (const { name } of await listed()) {
      const isHeap = name.endsWith('.heapsnapshot');
      assert.equal((await ops.get(`${PATH}/${name}`, as('vic'))).status, isHeap ? 403 : 200);
      assert.equal((await ops.get(`${PATH}/${name}`, as('ada'))).status, 200);
    }
    assert.equal((await ops.get(`${PATH}/..%2Fstate.json`, as('ada'))).status, 404);
  });
});

describe('the folder of profiles', () => {
  it('keeps a bounded number for a bounded time, and no file that is not complete', () => {
    const stateDir = tempFolder('profiles');
    const folder = new ProfileFolder({ stateDir });
    const begin = (about: Partial<KeptProfile>) =>
      folder.begin({ kind: 'cpu', process: 'worker 0', pid: 7, automatic: false, ...about });
    for (let pid = 1; pid <= 21; pid++) begin({ pid }).done();
    for (let pid = 1; pid <= 3; pid++) begin({ pid, kind: 'heap', process: 'job processor' }).done();
    begin({ pid: 99, automatic: true });
    const count = () =>
      ['cpu', 'heap'].map((kind) => folder.list().filter((one) => one.kind === kind && one.complete).length);
    const parts = () => folder.list().filter(({ complete }) => !complete);
    assert.deepEqual([count(), parts().length], [[21, 3], 1]);
    folder.prune();
    assert.deepEqual([count(), parts().length], [[20, 2], 1]);
    const [heap] = folder.list().filter(({ kind }) => kind === 'heap');
    assert.deepEqual([heap?.process, heap?.automatic, parts()[0]?.automatic], ['job processor', false, true]);
    folder.prune(Date.now() + 25 * HOUR);
    assert.deepEqual([count(), parts().length], [[20, 0], 0]);
    folder.prune(Date.now() + 8 * 24 * HOUR);
    assert.deepEqual(count(), [0, 0]);
    removeFolder(stateDir);
  });
});

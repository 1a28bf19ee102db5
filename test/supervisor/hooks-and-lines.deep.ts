import assert from 'node:assert/strict';
import type { Tree } from '../support/tree';
import { until } from '../support/until';
import { order } from './operator';
import { Stage } from './stage';

describe('what a tree tells of itself', () => {
  let stage: Stage;
  let tree: Tree;
  before(async () => {
    stage = await Stage.make();
    tree = await stage.start({ LOG_LEVEL: 'debug' });
  });
  after(() => stage.remove());

  const heard = (hook: string) => stage.hooks().filter((event) => event.hook === hook);

  it('hooks hear of its start; one that throws or rejects is logged and harms nothing', async () => {
    await until('booted is heard', () => heard('booted').length === 1);
    assert.equal(heard('booted')[0]?.address, tree.baseUrl);
    assert.deepEqual(
      heard('workerBoot')
        .map(({ slot }) => slot)
        .sort(),
      [0, 1],
    );
    assert.equal(heard('workerReady').length, 2);
    assert.equal(tree.linesMatching(/the app's hook workerReady: this hook always throws/).length, 2);
    await order(tree, 'phased-restart');
    assert.deepEqual(
      heard('phase').map(({ phase }) => phase),
      [1],
    );
    await tree.waitForLine(/the app's hook phase: this hook always rejects/);
    assert.deepEqual(
      heard('workerExit').map(({ code, expected }) => [code, expected]),
      [
        [0, true],
        [0, true],
      ],
    );
    await until('the processor has been renewed', () => heard('processorExit').length === 1);
    assert.equal((await tree.request('GET', '/slow')).status, 200);
  });

  it('a stray line of a worker comes out in one piece, with its name', async () => {
    const text = `stray ${'x'.repeat(5000)} line`;
    const { pid } = (await tree.request('GET', `/print?text=${encodeURIComponent(text)}`)).json();
    const { json } = await tree.waitForLine(/stray x+ line/);
    const slot = [...tree.processes().web].find(([, worker]) => worker === pid)?.[0];
    assert.deepEqual([json.msg, json.child], [text, `web.${slot}`]);
  });

  it('its last words are not lost when it crashes', async () => {
    await Promise.allSettled([tree.request('GET', '/print?text=famous'), tree.request('GET', '/crash')]);
    await tree.waitForLine(/"msg":"famous"/);
    await tree.waitForLine(/worker \d, pid \d+, exited with code 3/);
    const crashed = () => heard('workerExit').some(({ code, expected }) => code === 3 && expected === false);
    await until('the hook has heard of it', crashed);
  });

  it('every line names its process, and its end is heard', async () => {
    assert.equal((await tree.stop()).code, 0);
    await tree.allGone();
    await tree.waitForLine(/stopped in/);
    const names = new Set(tree.lines.map(({ json }) => json.process));
    assert.deepEqual([...names].sort(), ['jobs', 'primary', 'web.0', 'web.1']);
    assert.match(String(heard('stopping')[0]?.reason), /SIGTERM/);
    assert.equal(heard('stopped')[0]?.killed, 0);
  });

  it('a stray line is prefixed where a person reads', async () => {
    const pretty = stage.spawn({ LOG_FORMAT: 'pretty', WEB_CONCURRENCY: '1' });
    await pretty.ready();
    await pretty.request('GET', '/print?text=hello');
    const { text } = await pretty.waitForLine(/hello$/);
    assert.match(text, /\[primary\] web\.0: hello$/);
    assert.equal((await pretty.stop()).code, 0);
  });
});

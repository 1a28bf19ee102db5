import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { OwnerProcess } from './owner-process';
import {
  assertBothAnswer,
  assertNothingRuns,
  countUp,
  processesOf,
  startServers,
  stateFolder,
} from './servers-under-test';

const keepersOf = (stateDir: string) => processesOf(stateDir).filter((line) => line.includes('catamount-keeper'));
const nothingRuns = (stateDir: string) => () => processesOf(stateDir).length === 0;

describe('after a kill -9 of their owner the embedded servers', () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(() => removeFolder(path.dirname(stateDir)));

  it('are adopted by the next start, and the keeper of the first leaves them alone', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: 1000 });
    const urls = await owner.ready();
    assert.equal(await countUp(urls.databaseUrl), 1);
    const [firstKeeper = ''] = keepersOf(stateDir);
    await owner.kill9();

    const next = await startServers(stateDir);
    assert.deepEqual(next.urls, urls);
    for (const server of ['postgres', 'redis'] as const) {
      assert.equal(next.started.get(server)?.adopted, true);
      assert.equal(next.started.get(server)?.pid, owner.serverPid(server));
    }
    await until('the first keeper has left', () => !keepersOf(stateDir).includes(firstKeeper));
    assert.equal(await countUp(urls.databaseUrl), 2);
    await assertBothAnswer(urls);
    await next.stop();
    assertNothingRuns(stateDir);
  });

  it('are stopped by the keeper when nobody comes, with their data intact', async () => {
    const owner = OwnerProcess.start(stateDir, { graceMs: 200 });
    const urls = await owner.ready();
    await countUp(urls.databaseUrl);
    await owner.kill9();
    await until('the keeper has stopped all and left', nothingRuns(stateDir));

    const next = await startServers(stateDir);
    assert.equal(next.started.get('postgres')?.adopted, false);
    assert.equal(await countUp(next.urls.databaseUrl), 2);
    await next.stop();
  });

  it('may be started again at any moment', async () => {
    for (let count = 1; count <= 3; count++) {
      const owner = OwnerProcess.start(stateDir);
      assert.equal(await countUp((await owner.ready()).databaseUrl), 2 * count - 1);
      await owner.kill9();
      const next = await startServers(stateDir);
      assert.equal(await countUp(next.urls.databaseUrl), 2 * count);
      await next.stop();
      assertNothingRuns(stateDir);
    }
  });

  it('are waited for while the keeper stops them', async () => {
    const owner = OwnerProcess.start(stateDir);
    await owner.ready();
    const frozen = owner.serverPid('redis');
    process.kill(frozen, 'SIGSTOP');
    await owner.kill9();
    await until('the keeper has claimed the folder', () => {
      const claims = path.join(stateDir, 'claims');
      const numbers = fs.readdirSync(claims).filter((name) => /^\d+$/.test(name));
      return numbers.some((name) => fs.readFileSync(path.join(claims, name), 'utf8').includes('keeper'));
    });
    const starting = startServers(stateDir);
    process.kill(frozen, 'SIGCONT');
    const next = await starting;
    assert.equal(next.started.get('redis')?.adopted, false);
    await next.stop();
    assertNothingRuns(stateDir);
  });
});

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { postgresBinaries, redisBinary } from '../../lib/embedded/find-binaries';
import { postgresAnswers, redisAnswers } from '../../lib/embedded/server-process';
import { serverPort } from '../support/server-port';
import { removeFolder } from '../support/temp-folder';
import { until } from '../support/until';
import { assertBothAnswer, assertNothingRuns, countUp, startServers, stateFolder } from './servers-under-test';

const asOurselves = process.getuid?.() === 0 ? ['unshare', '--user'] : [];

/** Older versions set no passwords: Postgres used `trust`, and Redis was open to everybody. */
describe('a state folder whose servers have no passwords', () => {
  let stateDir: string;
  const children: ChildProcess[] = [];
  beforeEach(() => {
    stateDir = stateFolder();
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    removeFolder(path.dirname(stateDir));
  });

  for (const state of ['stopped', 'running']) {
    it(`is adopted with its data, and its servers get passwords (${state})`, async () => {
      const postgresPort = await makeOpenPostgres();
      const redisPort = await makeOpenRedis();
      const open = `postgres://postgres@127.0.0.1:${postgresPort}/catamount`;
      assert.equal(await countUp(open, 'CHECKPOINT'), 1);
      if (state === 'stopped') {
        for (const child of children.splice(0)) {
          child.kill('SIGINT');
          await once(child, 'exit');
        }
      }
      const run = await startServers(stateDir);
      try {
        await assertBothAnswer(run.urls);
        assert.equal(await countUp(run.urls.databaseUrl), 3);
        assert.equal(await redisAnswers(Number(new URL(run.urls.redisUrl).port)), false);
        const { port } = new URL(run.urls.databaseUrl);
        const client = new pg.Client(`postgres://postgres@127.0.0.1:${port}/catamount`);
        await assert.rejects(client.connect(), /password/);
        await client.end();
        assert.equal(await redisAnswers(redisPort), false);
      } finally {
        await run.stop();
      }
      assertNothingRuns(stateDir);
    });
  }

  async function makeOpenPostgres(): Promise<number> {
    const { initdb, postgres } = postgresBinaries();
    const folder = path.join(stateDir, 'postgres');
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    const data = path.join(folder, 'data');
    const [program = '', ...wrapped] = [...asOurselves, initdb];
    execFileSync(program, [
      ...wrapped,
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
    ]);
    const port = await serverPort();
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'io_method=sync'];
    start([
      ...asOurselves,
      postgres,
      '-D',
      data,
      '-p',
      String(port),
      ...settings.flatMap((setting) => ['-c', setting]),
    ]);
    await until('Postgres answers', () => postgresAnswers(port));
    await until('its database exists', async () => {
      const client = new pg.Client(`postgres://postgres@127.0.0.1:${port}/postgres`);
      await client.connect();
      await client.query('create database catamount').finally(() => client.end());
      return true;
    });
    return port;
  }

  async function makeOpenRedis(): Promise<number> {
    const folder = path.join(stateDir, 'redis');
    const data = path.join(folder, 'data');
    fs.mkdirSync(data, { recursive: true, mode: 0o700 });
    const port = await serverPort();
    const argv = [
      '--bind',
      '127.0.0.1',
      '--port',
      String(port),
      '--dir',
      data,
      '--appendonly',
      'yes',
      '--set-proc-title',
      'no',
    ];
    const { pid } = start([await redisBinary(), ...argv]);
    fs.writeFileSync(path.join(folder, 'redis.json'), JSON.stringify({ pid, port }));
    await until('Redis answers', () => redisAnswers(port));
    return port;
  }

  function start([program = '', ...args]: readonly string[]): ChildProcess {
    const child = spawn(program, args, { stdio: 'ignore' });
    children.push(child);
    return child;
  }
});

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import pg from 'pg';
import { type EventMap, Events } from '../../lib/core/events';
import { EmbeddedServers, type EmbeddedUrls } from '../../lib/embedded/embedded-servers';
import { redisAnswers } from '../../lib/embedded/server-process';
import { Deadline } from '../../lib/support/deadline';
import { processes } from '../support/processes';
import { tempFolder } from '../support/temp-folder';

type Started = EventMap['embedded.started'];

/** The embedded servers of one folder, run by this process, and what they reported. */
export interface ServersUnderTest {
  readonly started: Map<string, Started>;
  readonly lost: Set<string>;
  readonly urls: Required<EmbeddedUrls>;
  stop(): Promise<void>;
}

export function stateFolder(): string {
  return path.join(tempFolder('embedded'), '.catamount');
}

/** @param which `redis` starts in a moment, `both` takes longer. */
export async function startServers(stateDir: string, which: 'both' | 'redis' = 'both'): Promise<ServersUnderTest> {
  const events = new Events();
  const started = new Map<string, Started>();
  events.on('embedded.started', (event) => started.set(event.server, event));
  const lost = new Set<string>();
  events.on('embedded.exited', (event) => lost.add(event.server));
  const needPostgres = which === 'both';
  const servers = new EmbeddedServers({ stateDir, needPostgres, needRedis: true, events, graceMs: 0 });
  const { databaseUrl = '', redisUrl = '' } = await servers.start();
  const stop = () => servers.stop(Deadline.after(60_000));
  return { started, lost, urls: { databaseUrl, redisUrl }, stop };
}

/**
 * Adds a row to a table, so that lost data can be noticed.
 * @param then a last statement: CHECKPOINT if Postgres itself is about to be killed.
 * @returns the number of rows.
 */
export async function countUp(databaseUrl: string, then = 'SELECT'): Promise<number> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  try {
    await client.query('CREATE TABLE IF NOT EXISTS counts (id serial)');
    await client.query('INSERT INTO counts DEFAULT VALUES');
    await client.query(then);
    return Number((await client.query('SELECT count(*) FROM counts')).rows[0].count);
  } finally {
    await client.end();
  }
}

export async function assertBothAnswer({ databaseUrl, redisUrl }: Required<EmbeddedUrls>): Promise<void> {
  await countUp(databaseUrl);
  await assertRedisAnswers(redisUrl);
}

export async function assertRedisAnswers(redisUrl: string): Promise<void> {
  const { port, password } = new URL(redisUrl);
  assert.ok(await redisAnswers(Number(port), password), 'Redis answers');
}

/** Every process, keepers included, whose command line names the folder. */
export function processesOf(stateDir: string): string[] {
  return processes()
    .filter(({ command, pid }) => command.includes(stateDir) && pid !== process.pid)
    .map(({ pid, command }) => `${pid} ${command.slice(0, 120)}`);
}

export function keepersOf(stateDir: string): string[] {
  return processesOf(stateDir).filter((line) => line.includes('catamount-keeper'));
}

export function assertNothingRuns(stateDir: string): void {
  assert.deepEqual(processesOf(stateDir), []);
}

/** For tests in which another process has the pid of a server that is gone. @returns the one of the current test. */
export function useOtherProcess(): () => ChildProcess {
  let other: ChildProcess;
  beforeEach(() => {
    other = spawn('sleep', ['600'], { stdio: 'ignore' });
  });
  afterEach(async () => {
    other.kill('SIGKILL');
    if (other.signalCode === null) await once(other, 'exit');
  });
  return () => other;
}

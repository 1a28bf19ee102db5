import path from 'node:path';
import pg from 'pg';
import { Events } from '../../lib/core/events';
import { EmbeddedServers } from '../../lib/embedded/embedded-servers';
import { Deadline } from '../../lib/support/deadline';
import { RUN_FOLDER } from './temp-folder';

const POSTGRES = 'CATAMOUNT_TEST_POSTGRES';
/** A lane may have several trees with nine connections each, and there are as many lanes as the machine has cores. */
const CONNECTIONS = 500;

let servers: EmbeddedServers | undefined;
let starting: Promise<string> | undefined;

/** @returns the URL of the run's one Postgres, which the main process starts before it forks the lanes. */
export function sharedPostgres(): Promise<string> {
  const url = process.env[POSTGRES];
  if (url !== undefined) return Promise.resolve(url);
  starting ??= start();
  return starting;
}

export async function startSharedServers(): Promise<void> {
  process.env[POSTGRES] = await sharedPostgres();
}

export async function stopSharedServers(): Promise<void> {
  await servers?.stop(Deadline.after(30_000));
}

async function start(): Promise<string> {
  servers = new EmbeddedServers({
    stateDir: path.join(RUN_FOLDER, 'shared'),
    needPostgres: true,
    needRedis: false,
    events: new Events(),
    graceMs: 0,
    connections: CONNECTIONS,
  });
  const { databaseUrl = '' } = await servers.start();
  await forgetWithMachine(databaseUrl);
  return databaseUrl;
}

/** Nothing that tests write has to outlive the machine. */
async function forgetWithMachine(url: string): Promise<void> {
  const client = new pg.Client(url);
  await client.connect();
  for (const setting of ['fsync', 'full_page_writes']) await client.query(`alter system set ${setting} = off`);
  await client.query('select pg_reload_conf()');
  await client.end();
}

import path from 'node:path';
import { Events } from '../../lib/core/events';
import { EmbeddedServers } from '../../lib/embedded/embedded-servers';
import { Deadline } from '../../lib/support/deadline';
import { RUN_FOLDER } from './temp-folder';

let servers: EmbeddedServers | undefined;
let starting: Promise<string> | undefined;

/** The one Postgres of this run, started when a test first asks. @returns its URL, of an empty database. */
export function sharedPostgres(): Promise<string> {
  starting ??= start();
  return starting;
}

export async function stopSharedPostgres(): Promise<void> {
  await servers?.stop(Deadline.after(10_000));
}

async function start(): Promise<string> {
  servers = new EmbeddedServers({
    stateDir: path.join(RUN_FOLDER, 'shared'),
    needPostgres: true,
    needRedis: false,
    events: new Events(),
    graceMs: 0,
  });
  const { databaseUrl = '' } = await servers.start();
  return databaseUrl;
}

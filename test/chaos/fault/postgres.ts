import { execFile } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import type { ChaosPostgres } from '../scene/chaos-postgres';
import type { Fault } from './fault';

const HELD_MS = 5000;
const MB = 2 ** 20;
/** Fewer than a page has room for. */
const ROWS_OF_A_PAGE = 50;

/** Callers are told to come back, and what was committed stays. */
export const POSTGRES_FAULTS: readonly Fault[] = [
  {
    name: 'postgres-restart',
    about: 'Postgres is stopped in order, in a hurry or killed, and comes back',
    damage: 'turned away',
    async strike(scene, roll) {
      scene.note('postgres away');
      await scene.postgres.stop((['SIGINT', 'SIGQUIT', 'SIGKILL'] as const)[roll(3)] ?? 'SIGINT');
      await wait(roll(2000));
      await scene.postgres.start();
    },
  },
  {
    name: 'postgres-silent',
    about: 'Postgres takes connections and statements, and answers nothing for 5 s',
    damage: 'turned away',
    async strike(scene) {
      scene.note('postgres away');
      scene.postgresNetwork.swallow();
      await wait(HELD_MS);
      scene.postgresNetwork.mend();
    },
  },
  {
    name: 'postgres-connections-killed',
    about: 'pg_terminate_backend of every connection, three times',
    damage: 'turned away',
    async strike(scene, roll) {
      for (let n = 0; n < 3; n++) {
        scene.note('postgres away');
        await scene.postgres.administer(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'catamount'`,
        );
        await wait(roll(1000));
      }
    },
  },
  {
    name: 'postgres-connections-taken',
    about: 'others hold what is left of the 20 connections of a small plan',
    damage: 'turned away',
    async strike(scene) {
      scene.note('postgres away');
      const held = await takeAll(scene.postgres);
      await wait(HELD_MS);
      await Promise.all(held.map((client) => client.end()));
    },
  },
  {
    name: 'postgres-locked',
    about: 'a table is locked for 5 s, so that statements are slow',
    damage: 'turned away',
    async strike(scene, roll) {
      const table = ['users', 'job_outbox', 'mail_deliveries'][roll(3)] ?? 'users';
      await scene.postgres.administer(`begin; lock table ${table}; select pg_sleep(${HELD_MS / 1000}); commit`);
    },
  },
  {
    name: 'postgres-disk-full',
    about: 'the files of Postgres cannot grow for 5 s (a limit on their size, which it takes for a full disk)',
    damage: 'failed',
    async strike(scene) {
      const { postgres } = scene;
      const largest = await fillUsers(postgres);
      scene.note('postgres away');
      await limitFiles(postgres, String(largest));
      try {
        await wait(HELD_MS);
      } finally {
        await limitFiles(postgres, 'unlimited');
      }
    },
  },
];

/** As many as there are to be had. */
async function takeAll(postgres: ChaosPostgres): Promise<Client[]> {
  const held: Client[] = [];
  for (;;) {
    const client = await postgres.connect().catch(() => undefined);
    if (!client) return held;
    held.push(client);
  }
}

/** Makes the table of users the largest file, of more than 1 MB, and its last page all but full. @returns its size. */
async function fillUsers(postgres: ChaosPostgres): Promise<number> {
  await postgres.administer(`
    do $$
    declare
      size bigint := greatest(pg_relation_size('users'), ${1.2 * MB});
      room int := ${ROWS_OF_A_PAGE};
    begin
      while room > 0 loop
        insert into users (email, locale, token_digest) values (gen_random_uuid() || '@ballast.example', 'en', sha256('x'));
        if pg_relation_size('users') > size then room := room - 1; end if;
      end loop;
    end $$`);
  const [row] = await postgres.administer<{ size: string }>(`select pg_relation_size('users')::text as size`);
  return Number(row?.size);
}

/** Of all its processes; those it starts later have the server's own. */
async function limitFiles(postgres: ChaosPostgres, bytes: string): Promise<void> {
  for (const pid of await postgres.pids()) {
    await promisify(execFile)('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]).catch(() => undefined);
  }
}

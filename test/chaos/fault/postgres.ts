import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from 'pg';
import type { ChaosPostgres } from '../scene/postgres';
import type { Fault } from './faults';

const HELD_MS = 5000;
/** The disk is filled again at this interval, ms, since Postgres frees some space when it restarts. */
const REFILLED_MS = 250;
const TABLES = ['users', 'job_queue', 'mail_deliveries'] as const;

const FAULTS: readonly Fault[] = [
  {
    name: 'postgres-restart',
    about: 'Postgres is stopped in order or immediately, or killed, and comes back',
    async inject(environment, roll) {
      await environment.postgres.stop((['SIGINT', 'SIGQUIT', 'SIGKILL'] as const)[roll(3)] ?? 'SIGINT');
      await wait(roll(2000));
      await environment.postgres.start();
    },
  },
  {
    name: 'postgres-silent',
    about: 'Postgres accepts connections and statements, but answers nothing for 5 s',
    async inject(environment) {
      environment.postgresNetwork.hold();
      await wait(HELD_MS);
      await environment.postgresNetwork.up();
    },
  },
  {
    name: 'postgres-connections-killed',
    about: 'pg_terminate_backend of every connection, three times',
    async inject(environment, roll) {
      for (let n = 0; n < 3; n++) {
        await environment.postgres.administer(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'catamount'`,
        );
        await wait(roll(1000));
      }
    },
  },
  {
    name: 'postgres-connections-taken',
    about: 'other clients take all free connections of the 20 that a small plan has',
    async inject(environment) {
      const held = await takeAll(environment.postgres);
      await wait(HELD_MS);
      await Promise.all(held.map((client) => client.end()));
    },
  },
  {
    name: 'postgres-locked',
    about: 'a table is locked for 5 s, so that statements are slow',
    async inject(environment, roll) {
      const table = TABLES[roll(TABLES.length)] ?? 'users';
      await environment.postgres.administer(`begin; lock table ${table}; select pg_sleep(${HELD_MS / 1000}); commit`);
    },
  },
  {
    name: 'postgres-slow',
    about: 'every statement that writes takes 300 ms longer, for 5 s',
    async inject({ postgres }) {
      // One table at a time: a transaction that locks several could deadlock with the app's.
      await postgres.administer(`create function linger() returns trigger language plpgsql as
        $$ begin perform pg_sleep(0.3); return null; end $$`);
      for (const table of TABLES) {
        await postgres.administer(
          `create trigger linger before insert or update on ${table} for each statement execute function linger()`,
        );
      }
      await wait(HELD_MS);
      for (const table of TABLES) await postgres.administer(`drop trigger linger on ${table}`);
      await postgres.administer('drop function linger');
    },
  },
  {
    name: 'postgres-crash',
    about: 'kill -9 of a backend of Postgres: it disconnects all clients and recovers',
    async inject(environment, roll) {
      const backends = await environment.postgres.administer<{ pid: number }>(
        `select pid from pg_stat_activity where application_name = 'catamount' order by pid`,
      );
      const victim = backends[roll(backends.length || 1)];
      if (!victim) return;
      process.kill(victim.pid, 'SIGKILL');
      await environment.postgres.revive();
    },
  },
  {
    name: 'postgres-disk-full',
    about: 'the disk of Postgres is full to the last byte for 5 s; Postgres is started again if it does not survive',
    async inject(environment) {
      const { postgres } = environment;
      try {
        for (let left = HELD_MS; left > 0; left -= REFILLED_MS) {
          postgres.disk.fill();
          await wait(REFILLED_MS);
        }
      } finally {
        postgres.disk.free();
      }
      await postgres.revive();
    },
  },
];

/** Meanwhile requests may be shed with Retry-After. Committed data must stay. */
export const POSTGRES_FAULTS = FAULTS.map((fault): Fault => ({ ...fault, damage: 'turned away' }));

/** Takes all free connections. */
async function takeAll(postgres: ChaosPostgres): Promise<Client[]> {
  const held: Client[] = [];
  for (;;) {
    const client = await postgres.connect().catch(() => undefined);
    if (!client) return held;
    held.push(client);
  }
}

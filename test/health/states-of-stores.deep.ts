import { ChaosPostgres } from '../chaos/scene/postgres';
import { SIGNED } from '../ops/ops-web';
import { buildFixtureApp } from '../support/fixture-app';
import { spawnTree } from '../support/tree';
import { Scene, type State, shows } from './state';
import { untilFull } from './store-faults';

const redis = (scene: Scene, ...words: string[]) => scene.faulty.admin.sendCommand(words);
/** Its retry would take a while; another one shows at once that the server is back. */
const mended = (scene: Scene, mend: () => unknown) => async () => {
  await mend();
  await scene.faulty.signUp();
};

const OF_SMTP: readonly State[] = [
  {
    name: 'a wrong password for the mail server',
    make: async (scene) => {
      scene.faulty.sink.login = { code: 535, message: '5.7.8 who are you?' };
      await scene.faulty.signUp();
      return mended(scene, () => {
        scene.faulty.sink.login = undefined;
      });
    },
    cause: /does not accept the user name or password/,
    culprit: /sending mail.*535/,
    remedy: /SMTP_URL: catamount doctor/,
    exitCode: 3,
    ready: /sending mail stands still/,
  },
  {
    name: 'a mail server that is a black hole',
    make: async (scene) => {
      await scene.faulty.proxies.smtp.hold();
      await scene.faulty.signUp();
      return mended(scene, () => scene.faulty.proxies.smtp.up());
    },
    cause: /no answer/,
    culprit: /sending mail/,
    remedy: /SMTP_URL.*catamount doctor/,
    exitCode: 3,
    ready: /sending mail stands still/,
  },
];

const OF_REDIS: readonly State[] = [
  {
    name: 'Redis stopped',
    make: async (scene) => {
      await scene.faulty.redis.stop();
      return () => scene.faulty.redis.start();
    },
    cause: /cannot be reached/,
    culprit: /No answer from Redis/,
    remedy: /REDIS_URL: catamount doctor/,
    exitCode: 2,
    ready: /redis: the server cannot be reached/,
  },
  {
    name: 'Redis read-only',
    make: async (scene) => {
      await redis(scene, 'REPLICAOF', '127.0.0.1', '1');
      return () => redis(scene, 'REPLICAOF', 'NO', 'ONE');
    },
    cause: /is a replica now/,
    culprit: /^Redis refuses writes/,
    remedy: /REDIS_URL name the primary/,
    exitCode: 2,
    ready: /Redis is a replica now/,
  },
  {
    name: 'Redis full',
    make: async (scene) => {
      await redis(scene, 'CONFIG', 'SET', 'maxmemory', '1');
      return () => redis(scene, 'CONFIG', 'SET', 'maxmemory', '0');
    },
    cause: /Redis is full/,
    culprit: /of its maxmemory/,
    remedy: /redis-cli config set maxmemory/,
    exitCode: 3,
  },
  {
    name: 'Redis wiped',
    make: async (scene) => {
      await redis(scene, 'FLUSHALL');
      return () => undefined;
    },
    cause: /Redis lost its data/,
    culprit: /no job is lost/,
    remedy: /redis-cli config set appendonly yes/,
    exitCode: 2,
    lingers: true,
  },
];

const OF_POSTGRES: readonly State[] = [
  {
    name: 'Postgres without a connection for us',
    make: async ({ faulty }) => {
      await faulty.database.query(`alter role ${faulty.role} connection limit 0`);
      await faulty.endConnections();
      return () => faulty.database.query(`alter role ${faulty.role} connection limit -1`);
    },
    cause: /no connection left for this role/,
    culprit: /^Postgres refuses connections.*53300/,
    remedy: /DATABASE_POOL/,
    exitCode: 3,
    ready: /postgres: Postgres has no connection left/,
  },
  {
    name: 'a table that another session has locked',
    make: ({ faulty }) => faulty.lock('lock table job_queue in access exclusive mode'),
    cause: /holds a lock/,
    culprit: /Session \d+ of Postgres .* on job_queue.* Its client is [\w-]+\./,
    remedy: /pg_terminate_backend\(\d+\)/,
    exitCode: 3,
    ready: /stands still/,
  },
  {
    name: 'a full disk',
    make: async ({ faulty }) => {
      // An open snapshot keeps vacuum from reusing the space of finished jobs' rows.
      const letGo = await faulty.lock('set transaction isolation level repeatable read; select 1');
      postgres.disk.fill();
      await untilFull(faulty);
      return async () => {
        postgres.disk.free();
        await letGo();
        await faulty.database.query(`delete from job_queue where class = 'FillerJob'`);
      };
    },
    cause: /the disk of Postgres is full/,
    culprit: /Standing still: .*could not extend|No space left/,
    remedy: /Free space/,
    exitCode: 3,
    ready: /the disk of Postgres is full/,
  },
  {
    name: 'Postgres stopped',
    make: async () => {
      await postgres.stop();
      return () => postgres.start();
    },
    cause: /cannot be reached/,
    culprit: /No answer from Postgres/,
    remedy: /DATABASE_URL: catamount doctor/,
    exitCode: 3,
    ready: /postgres: the server cannot be reached/,
  },
];

const OF_MIGRATIONS: readonly State[] = [
  {
    name: 'migrations that nobody has run',
    make: (scene) => async () => {
      const migration = spawnTree({ args: ['migrate'], env: scene.faulty.env });
      await migration.exited;
      await migration.cleanup();
    },
    cause: /migrations have not run/,
    culprit: /\d{8,}_\w+/,
    remedy: /catamount db migrate/,
    exitCode: 3,
    ready: /migrations/,
  },
];

const OF_ABSENCE: readonly State[] = [
  {
    name: 'Redis absent from the start',
    make: () => () => undefined,
    cause: /cannot be reached/,
    culprit: /No answer from Redis.*ECONNREFUSED/,
    remedy: /REDIS_URL: catamount doctor/,
    exitCode: 2,
    ready: /redis: the server cannot be reached/,
    lingers: true,
  },
];

let postgres: ChaosPostgres;

describe('the first line of states of the stores: the page, status, top, alerts and /ready name cause, culprit and remedy of', () => {
  let scene: Scene | undefined;
  const inScene = (make: () => Promise<Scene>, ...states: readonly State[]) => {
    describe('one tree', () => {
      before(async () => {
        scene = await make();
      });
      after(async () => {
        await scene?.remove();
        scene = undefined;
      });
      shows(states, () => scene as Scene);
    });
  };

  inScene(() => Scene.make(), ...OF_SMTP, ...OF_REDIS);
  inScene(
    async () => {
      const entry = await buildFixtureApp('jobs-app');
      postgres = await ChaosPostgres.make({ connections: 40, migrated: false, walApart: true });
      return Scene.make({ entry, postgres });
    },
    ...OF_POSTGRES,
  );
  inScene(
    () =>
      Scene.make({
        unready: true,
        env: {
          ...SIGNED,
          NODE_ENV: 'production',
          OPS_TOKEN: '',
          MAIL_FROM: 'a@shop.example',
          APP_URL: 'https://shop.example',
        },
      }),
    ...OF_MIGRATIONS,
  );
  inScene(() => Scene.make({ unready: true, env: { REDIS_URL: 'redis://127.0.0.1:1' } }), ...OF_ABSENCE);
});

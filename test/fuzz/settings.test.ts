import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EXIT } from '../../lib/core/errors';
import { readSettings } from '../../lib/core/settings';
import { ConfigError } from '../../lib/core/settings-reader';
import { mailboxes } from '../../lib/mailer/compose/headers';
import { cases, runs, SEED, withShortStacks } from './campaign';
import { Mutator } from './mutator';

/** Every variable that is read, with valid values. */
const RIGHT: Readonly<Record<string, readonly string[]>> = {
  NODE_ENV: ['production', 'development', 'test'],
  DYNO: ['web.1'],
  PORT: ['0', '3000'],
  HOST: ['127.0.0.1', '::', 'unix:/tmp/x.sock'],
  SOCKET_MODE: ['0660'],
  MEMORY_LIMIT_MB: ['512'],
  WEB_CONCURRENCY: ['auto', '0', '2'],
  MAX_THREADS: ['5'],
  WEB_BACKLOG: ['0', '512'],
  BODY_LIMIT: ['1kB', '2.5 MB', '100000'],
  HEADER_TIMEOUT: ['15s'],
  KEEP_ALIVE_TIMEOUT: ['95s'],
  REQUEST_TIMEOUT: ['29s', '24h'],
  WRITE_TIMEOUT: ['10s'],
  WEB_QUEUE_TIMEOUT: ['10s', '500ms', '10'],
  WORKER_TIMEOUT: ['60s'],
  WORKER_BOOT_TIMEOUT: ['30s'],
  SHUTDOWN_TIMEOUT: ['25s'],
  JOB_PROCESSOR: ['0', '1', 'inline'],
  JOB_CONCURRENCY: ['2'],
  JOB_THREADS: ['0', '2'],
  JOB_QUEUES: ['default,mailer', 'a:3,b:1'],
  JOB_LATENCY_WARNING: ['0', '60s'],
  JOB_ENCRYPTION_KEYS: [`a:${'SECRET'.repeat(7)}E=`, `b:${'SECRET'.repeat(7)}E,a:${'SECRET'.repeat(7)}E=`],
  DATABASE_URL: ['postgres://u:SECRET@db.example:5432/x?sslmode=require'],
  DATABASE_DIRECT_URL: ['postgres://u:SECRET@direct.example:5432/x'],
  DATABASE_POOL: ['1', '20'],
  REDIS_URL: ['redis://:SECRET@r.example:6379'],
  REDIS_TLS_URL: ['rediss://:SECRET@r.example:6380'],
  OTHER_URL: ['redis://:SECRET@o.example'],
  SMTP_URL: ['smtp://u:SECRET@mail.example:587'],
  MAIL_DELIVERY: ['smtp', 'file', 'log', 'test'],
  MAIL_FROM: ['Shop <hello@shop.example>', 'a@b.example'],
  APP_URL: ['https://shop.example/'],
  DEFAULT_LOCALE: ['en', 'de', 'pt-BR'],
  CONTROL_SOCKET: ['/tmp/c.sock'],
  STATE_FILE: ['state.json'],
  OPS_USER: ['ada'],
  OPS_PASSWORD: ['SECRET horse'],
  METRICS_TOKEN: ['SECRETSECRETSECRET'],
  LOG_LEVEL: ['info', 'silent'],
  LOG_FORMAT: ['pretty', 'json'],
  LOG_ENQUEUES: ['0', '1'],
  LOG_REQUESTS: ['0', '1'],
};
const NAMES = Object.keys(RIGHT);
/** The mark of secret values: it must never be printed. */
const SECRET = /SECRET/;

/** Settings yield a Config or a ConfigError with all complaints, never another error, and never a secret on the terminal. */
describe('settings of any kind', () => {
  withShortStacks();

  function check(env: Readonly<Record<string, string>>, only?: string): void {
    const input = { env, cwd: '/srv/shop', only, machine: { memoryLimitMb: 512, cores: 2 } };
    try {
      const config = readSettings(input);
      JSON.stringify(config);
      assert.ok(config.web.concurrency >= 0 && config.jobs.concurrency >= 1 && config.jobs.queues.length > 0);
      for (const ms of [config.shutdownTimeoutMs, config.web.queueTimeoutMs, config.jobs.latencyWarningMs])
        assert.ok(Number.isFinite(ms));
    } catch (thrown) {
      if (!(thrown instanceof ConfigError)) throw thrown;
      assert.equal(thrown.exitCode, EXIT.config);
      assert.ok(thrown.complaints.length > 0);
      for (const { variable } of thrown.complaints)
        assert.match(thrown.message, new RegExp(`\\b${variable}\\b|--only`));
      assert.doesNotMatch(thrown.message, SECRET);
    }
  }

  it('are read, or rejected by the name of the variable', () => {
    const value = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.integer().map(String),
      fc.double().map(String),
      fc.webUrl(),
      fc.constantFrom('', ' ', '0', '-1', 'NaN', '1e9', 'auto', '10s', 'redis:', 'postgres://', 'smtp://[', 'http://%'),
    );
    const env = fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 8 });
    const only = fc.constantFrom(undefined, undefined, 'web', 'jobs', 'both', '');
    return fc.assert(
      fc.property(env, only, (given, role) => check(given, role)),
      runs(1000),
    );
  });

  it('are read, or rejected without their secrets, when their values are almost valid', () => {
    const mutator = new Mutator(SEED, [' ', ',', ':', '@', '/', '%', '%zz', '\0', '\n', '://', '😀', '9'.repeat(400)]);
    for (let n = cases(1000); n > 0; n--) {
      const env: Record<string, string> = {};
      for (let i = 0; i < 6; i++) {
        const name = NAMES[(n * 7 + i * 5) % NAMES.length] ?? '';
        const right = RIGHT[name] ?? [];
        const [first = '', ...others] = right;
        env[name] =
          i % 3 === 0 ? mutator.mutate([first, ...others]).toString('utf8') : mutator.pick([first, ...others]);
      }
      check(env);
    }
  });

  it('accept a MAIL_FROM of exactly one mailbox only', () => {
    const name = fc.array(fc.constantFrom(...'ab@.<>",:;()\\[] 민'), { maxLength: 12 }).map((parts) => parts.join(''));
    return fc.assert(
      fc.property(name, fc.constantFrom('', '<a@b.example>', 'a@b.example'), (given, address) => {
        let from: string;
        try {
          from = readSettings({ env: { MAIL_FROM: given + address }, cwd: '/srv/shop' }).mail.from;
        } catch (thrown) {
          if (!(thrown instanceof ConfigError)) throw thrown;
          return;
        }
        assert.equal(mailboxes('from', from).length, 1, from);
      }),
      runs(2000),
    );
  });
});

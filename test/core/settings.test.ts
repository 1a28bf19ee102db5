import assert from 'node:assert/strict';
import { type Config, connectionsOfTree, inlineParts, serverUrls } from '../../lib/core/config';
import { readSettings } from '../../lib/core/settings';
import { ConfigError } from '../../lib/core/settings-reader';

const machine = { memoryLimitMb: null, cores: 4 };
const read = (env: Record<string, string | undefined> = {}, only?: string) =>
  readSettings({ env, cwd: '/srv/shop', only, machine });

function complaints(env: Record<string, string>, only?: string): string {
  try {
    read(env, only);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    assert.equal(error.exitCode, 78);
    return error.message;
  }
  throw new assert.AssertionError({ message: 'nothing was complained of' });
}

const KEY = `SECRET${'0'.repeat(36)}A=`;

const PRODUCTION = {
  NODE_ENV: 'production',
  DATABASE_URL: 'postgres://u:p@db.example/shop',
  REDIS_URL: 'redis://r.example:6379',
  SMTP_URL: 'smtp://mail.example:587',
  APP_URL: 'https://shop.example',
};

describe('settings', () => {
  it('give each tree an identity that survives its restart and that no concurrent tree shares', () => {
    const place = (env: Record<string, string> = {}, only?: string) => read(env, only).tree.place;
    assert.equal(place({ PORT: '3000' }), place({ PORT: '3001' }), 'the same tree on another port');
    const sideBySide = [{}, { CONTROL_SOCKET: '.catamount/other.sock' }, { CONTROL_SOCKET: '/run/third.sock' }];
    const places = [...sideBySide.map((env) => place(env)), place({}, 'web'), place({}, 'jobs')];
    assert.equal(new Set(places).size, places.length);
    assert.notEqual(place({ DYNO: 'web.1' }), place({ DYNO: 'web.2' }));
  });

  it('have the documented defaults', () => {
    const config = read();
    assert.equal(config.environment, 'development');
    assert.deepEqual(config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 3000 }]);
    assert.deepEqual(read(PRODUCTION).listen, [{ kind: 'tcp', host: '0.0.0.0', port: 3000 }]);
    assert.deepEqual(config.web, {
      enabled: true,
      concurrency: 2,
      inline: false,
      sizing: null,
      maxThreads: 5,
      backlog: 512,
      queueTimeoutMs: 10_000,
      bodyLimitBytes: 100_000,
      headerTimeoutMs: 15_000,
      keepAliveTimeoutMs: 95_000,
      keepAliveRequests: 0,
      requestTimeoutMs: 29_000,
      writeTimeoutMs: 10_000,
      workerTimeoutMs: 60_000,
      cullingStrategy: 'youngest',
      bootTimeoutMs: 30_000,
    });
    assert.equal(config.shutdownTimeoutMs, 25_000);
    assert.deepEqual(config.jobs, {
      enabled: true,
      inline: false,
      concurrency: 2,
      threads: 0,
      logEnqueues: false,
      queues: [
        { name: 'default', weight: 1 },
        { name: 'mailer', weight: 1 },
      ],
      weighted: false,
      latencyWarningMs: 60_000,
      encryptionKeys: [],
    });
    assert.equal(config.databaseUrl, null);
    assert.equal(config.redisUrl, null);
    assert.equal(config.mail.delivery, 'file');
    assert.equal(config.mail.dir, '/srv/shop/.catamount/mails');
    assert.equal(config.appUrl, 'http://localhost:3000');
    assert.equal(config.defaultLocale, 'en');
    assert.equal(config.control.socket, '/srv/shop/.catamount/control.sock');
    assert.deepEqual(config.log, { level: 'info', format: 'json', requests: true });
    assert.equal(readSettings({ env: {}, cwd: '/', isTty: true }).log.format, 'pretty');
  });

  it('report all mistakes at once, each with its name, its value and what is allowed', () => {
    const message = complaints({ PORT: 'abc', WEB_CONCURRENCY: '-1', JOB_QUEUES: 'a,,b', MAIL_FROM: 'x\nBcc: y@z' });
    assert.match(message, /4 settings are wrong/);
    assert.match(message, /PORT +is "abc"; it must be a whole number from 0 to 65535/);
    assert.match(message, /WEB_CONCURRENCY +is "-1"; it must be auto, or a whole number from 0 to 64/);
    assert.match(message, /JOB_QUEUES +is "a,,b"/);
    assert.match(message, /MAIL_FROM/);
  });

  it('accept no user name or password in APP_URL, which every mail would contain, and do not repeat it', () => {
    for (const credentials of ['ada', 'ada:hunter2', ':hunter2']) {
      const message = complaints({ APP_URL: `https://${credentials}@shop.example` });
      assert.match(message, /APP_URL +is "https:\/\/…"; it must be an http.* URL without a user name or password/);
    }
    assert.match(complaints({ APP_URL: 'shop.example' }), /APP_URL +is "shop.example"; it must be/);
  });

  it('derive the default sender from the host of APP_URL, or from localhost if that is an IP address', () => {
    const from = (appUrl: string) => read({ APP_URL: appUrl }).mail.from;
    assert.equal(from('https://shop.example:8443'), 'no-reply@shop.example');
    assert.equal(from('http://127.0.0.1:3000'), 'no-reply@localhost');
    assert.equal(from('http://[::1]:3000'), 'no-reply@localhost');
  });

  it('never put port 0 into links of a tree that listens on no port, and advise it to set APP_URL', () => {
    const links = (env: Record<string, string>, only?: string) => {
      const { appUrl, warnings } = read(env, only);
      return [appUrl, /listens on no port.*Set APP_URL/.test(warnings.join())];
    };
    assert.deepEqual(links({ PORT: '0' }, 'jobs'), ['http://localhost:3000', true]);
    assert.deepEqual(links({ PORT: '0', HOST: 'unix:/tmp/web.sock' }), ['http://localhost:3000', true]);
    assert.deepEqual(links({ PORT: '4000', HOST: 'unix:/tmp/web.sock' }), ['http://localhost:4000', true]);
    assert.deepEqual(links({ PORT: '4000' }), ['http://localhost:4000', false]);
    // The primary fills it in once it listens.
    assert.deepEqual(links({ PORT: '0' }), ['http://localhost:0', false]);
    assert.deepEqual(read({ APP_URL: 'https://shop.example' }, 'jobs').warnings, []);
  });

  it('size the pool of each process by its concurrency, and always give the processor one connection more than jobs', () => {
    const pool = (env: Record<string, string>) => read(env).databasePool;
    assert.deepEqual(pool({}), { web: 5, jobs: 3 });
    assert.deepEqual(pool({ MAX_THREADS: '8', JOB_CONCURRENCY: '10' }), { web: 8, jobs: 11 });
    assert.deepEqual(pool({ DATABASE_POOL: '2', JOB_CONCURRENCY: '4' }), { web: 2, jobs: 5 });
    assert.deepEqual(pool({ DATABASE_POOL: '20' }), { web: 20, jobs: 20 });
  });

  it('count all pools of a tree, and the LISTEN connection', () => {
    assert.equal(connectionsOfTree(read()), 2 * 5 + 3 + 1);
    assert.equal(connectionsOfTree(read({}, 'jobs')), 3 + 1);
    assert.equal(connectionsOfTree(read({ JOB_THREADS: '2' }, 'jobs')), 3 + 1 + 2);
    assert.equal(connectionsOfTree(read({ JOB_THREADS: '2' }, 'web')), 2 * 5);
    assert.equal(connectionsOfTree(read({}, 'web')), 2 * 5);
  });

  it('take the direct URL from DATABASE_DIRECT_URL, otherwise from DATABASE_URL', () => {
    const env = { DATABASE_URL: 'postgres://pooler.example/shop', REDIS_URL: 'redis://r.example' };
    assert.equal(serverUrls(read(env)).databaseDirect, env.DATABASE_URL);
    const direct = 'postgres://db.example/shop';
    assert.equal(serverUrls(read({ ...env, DATABASE_DIRECT_URL: direct })).databaseDirect, direct);
    assert.equal(serverUrls(read({ ...env, DATABASE_DIRECT_URL: direct })).database, env.DATABASE_URL);
    assert.match(complaints({ DATABASE_DIRECT_URL: direct }), /DATABASE_URL.*DATABASE_DIRECT_URL leads past it/s);
  });

  const operator = { OPS_USER: 'ada', OPS_PASSWORD: 'correct horse' };
  it("close the operator's pages unless there are a name and a password", () => {
    assert.equal(read({}).ops, null);
    assert.deepEqual(read(operator).ops, { user: 'ada', password: 'correct horse' });
    for (const [env, complaint] of [
      [{ OPS_USER: 'ada' }, /OPS_PASSWORD +is not set; .*since OPS_USER is set/],
      [{ OPS_PASSWORD: 'correct horse' }, /OPS_USER +is not set; .*since OPS_PASSWORD is set/],
      [{ ...operator, OPS_PASSWORD: 'short' }, /OPS_PASSWORD +is "<5 characters>"/],
    ] as const)
      assert.match(complaints(env), complaint);
  });

  it('require real servers and mail delivery in production', () => {
    const message = complaints({ NODE_ENV: 'production' });
    assert.match(message, /DATABASE_URL +is not set/);
    assert.match(message, /REDIS_URL +is not set/);
    assert.match(message, /SMTP_URL +is not set/);
    assert.equal(read(PRODUCTION).mail.delivery, 'smtp');
    assert.equal(read({ ...PRODUCTION, SMTP_URL: undefined, MAIL_DELIVERY: 'log' }).mail.delivery, 'log');
    assert.match(read({ ...PRODUCTION, APP_URL: undefined }).warnings.join(), /APP_URL/);
  });

  describe('REDIS=off', () => {
    it('is a tree without Redis, also in production, which otherwise asks for one or for that', () => {
      assert.deepEqual([read({}).redisOff, read(PRODUCTION).redisOff], [false, false]);
      const { redisOff, redisUrl } = read({ ...PRODUCTION, REDIS_URL: undefined, REDIS: 'off' });
      assert.deepEqual([redisOff, redisUrl], [true, null]);
      assert.match(
        complaints({ ...PRODUCTION, REDIS_URL: '' }),
        /REDIS_URL +is not set; it must be a redis:\/\/ .*, or set REDIS=off to run without Redis/,
      );
    });

    it('is refused beside the address of a Redis', () => {
      for (const variable of ['REDIS_TLS_URL', 'REDIS_URL'])
        assert.match(
          complaints({ REDIS: 'off', [variable]: 'redis://localhost' }),
          new RegExp(`REDIS +is "off"; it must be unset, or ${variable}: a tree has a Redis or none`),
        );
    });
  });

  it('take the Redis URL from REDIS_TLS_URL, or else from REDIS_URL', () => {
    const urls = { REDIS_TLS_URL: 'rediss://tls:1', REDIS_URL: 'redis://plain:2' };
    assert.equal(read(urls).redisUrl, 'rediss://tls:1');
    assert.equal(read({ ...urls, REDIS_TLS_URL: undefined }).redisUrl, 'redis://plain:2');
  });

  it('read the mode of a Unix socket as an octal number', () => {
    const modeOf = (SOCKET_MODE?: string) => {
      const [listen] = read({ HOST: 'unix:/tmp/web.sock', SOCKET_MODE }).listen;
      return listen?.kind === 'unix' && listen.mode;
    };
    assert.deepEqual([modeOf('0660'), modeOf('777'), modeOf()], [0o660, 0o777, null]);
  });

  it('read several addresses from LISTEN, each with its options', () => {
    const LISTEN = 'tcp://:80?backlog=9, tls://[::1]:443?proxy_protocol=1,unix:///run/a.sock?mode=660&backlog=5';
    const { listen, appUrl, tls } = read({ LISTEN, PORT: '1', TLS_CERT: 'a.pem', TLS_KEY: '/b.pem' });
    assert.deepEqual(listen, [
      { kind: 'tcp', host: '127.0.0.1', port: 80, backlog: 9 },
      { kind: 'tcp', host: '::1', port: 443, proxyProtocol: true, tls: true },
      { kind: 'unix', path: '/run/a.sock', mode: 0o660, backlog: 5 },
    ]);
    assert.deepEqual([appUrl, tls], ['http://localhost:80', { cert: '/srv/shop/a.pem', key: '/b.pem' }]);
  });

  it('speak TLS where the tree listens once TLS_CERT and TLS_KEY are set, and refuse what does not fit', () => {
    const files = { TLS_CERT: 'a', TLS_KEY: 'b' };
    const { listen, appUrl } = read(files);
    assert.deepEqual([listen[0]?.tls, appUrl], [true, 'https://localhost:3000']);
    assert.match(complaints({ TLS_CERT: 'a' }), /TLS_KEY +is not set/);
    assert.match(complaints({ TLS_KEY: 'b' }), /TLS_CERT +is not set/);
    assert.match(complaints({ LISTEN: 'tls://:1' }), /TLS_CERT +is not set/);
    assert.match(complaints({ ...files, LISTEN: 'tcp://:1' }), /LISTEN +is "tcp:\/\/:1"/);
    const clientsOf = (more: Readonly<Record<string, string>>) => read({ ...files, ...more }).tls?.clients;
    assert.deepEqual(clientsOf({ TLS_CLIENT_CA: 'ca' }), { ca: '/srv/shop/ca', isRequired: true });
    assert.equal(clientsOf({ TLS_CLIENT_CA: 'ca', TLS_CLIENT_CERT: 'optional' })?.isRequired, false);
    assert.match(complaints({ TLS_CLIENT_CA: 'ca' }), /TLS_CERT +is not set/);
    assert.match(complaints({ ...files, TLS_CLIENT_CERT: 'required' }), /TLS_CLIENT_CA +is not set/);
    assert.match(complaints({ ...files, TLS_CLIENT_CA: 'ca', TLS_CLIENT_CERT: 'yes' }), /TLS_CLIENT_CERT +is "yes"/);
  });

  it('read queues in order, or with weights', () => {
    assert.deepEqual(read({ JOB_QUEUES: 'mailer' }).jobs.queues, [{ name: 'mailer', weight: 1 }]);
    const { queues, weighted } = read({ JOB_QUEUES: 'default:3, mailer:1' }).jobs;
    assert.equal(weighted, true);
    assert.deepEqual(queues, [
      { name: 'default', weight: 3 },
      { name: 'mailer', weight: 1 },
    ]);
  });

  /** By variable: what it sets, values with their meanings, the least and the most among them, and values out of bounds. */
  const BOUNDS: Readonly<Record<string, readonly [(config: Config) => unknown, Record<string, unknown>, string[]]>> = {
    PORT: [({ listen: [at] }) => at?.kind === 'tcp' && at.port, { 0: 0, 65535: 65_535 }, ['65536', '80.5']],
    HOST: [({ listen: [at] }) => at?.kind === 'unix' && at.path, { 'unix:a.sock': '/srv/shop/a.sock' }, ['a b', 'a/b']],
    LISTEN: [
      ({ listen: [at] }) => at?.kind === 'tcp' && at.port,
      { 'tcp://:0': 0, 'tcp://a.example:65535/': 65_535 },
      [
        'tcp://:65536',
        ':80',
        'tcp://a',
        'tcp://:1,',
        'tcp://:1?mode=660',
        'unix:a',
        'unix:///a?mode=9',
        'tcp://:1?back=1',
      ].concat('tcp://:1?backlog=0', 'tcp://:1?proxy_protocol=0', 'http://:1'),
    ],
    KEEP_ALIVE_REQUESTS: [({ web }) => web.keepAliveRequests, { 0: 0, 1: 1 }, ['-1', 'off']],
    SOCKET_MODE: [() => undefined, {}, ['0888', '66', '07777', 'rw']],
    TRUST_PROXY: [({ trustProxy }) => trustProxy, { 10: { hops: 10 } }, ['11']],
    WEB_CONCURRENCY: [
      ({ web }) => [web.concurrency, web.inline],
      { 0: [1, true], 1: [1, false], 64: [64, false] },
      ['-1', '65'],
    ],
    MAX_THREADS: [({ web }) => web.maxThreads, { 1: 1, 1000: 1000 }, ['0', '1001']],
    WEB_BACKLOG: [({ web }) => web.backlog, { 0: 0, 100000: 100_000 }, ['100001']],
    BODY_LIMIT: [({ web }) => web.bodyLimitBytes, { 1000: 1000, '2.5 MB': 2.5e6, '1gb': 1e9 }, ['999', '1.1GB']],
    WEB_QUEUE_TIMEOUT: [({ web }) => web.queueTimeoutMs, { '1ms': 1, 9: 9000, '10m': 600_000 }, ['0', '11m']],
    REQUEST_TIMEOUT: [({ web }) => web.requestTimeoutMs, { 1: 1000, '24h': 86_400_000 }, ['999ms', '25h']],
    HEADER_TIMEOUT: [({ web }) => web.headerTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m']],
    KEEP_ALIVE_TIMEOUT: [({ web }) => web.keepAliveTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m']],
    WRITE_TIMEOUT: [({ web }) => web.writeTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m']],
    WORKER_TIMEOUT: [({ web }) => web.workerTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m']],
    WORKER_CULLING_STRATEGY: [({ web }) => web.cullingStrategy, { youngest: 'youngest', oldest: 'oldest' }, ['first']],
    WORKER_BOOT_TIMEOUT: [({ web }) => web.bootTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m']],
    IDLE_TIMEOUT: [({ idleTimeoutMs }) => idleTimeoutMs, { 0: 0, '10m': 600_000, '1d': 86_400_000 }, ['25h', 'never']],
    SHUTDOWN_TIMEOUT: [(config) => config.shutdownTimeoutMs, { 1: 1000, '1h': 3_600_000 }, ['999ms', '61m', 'soon']],
    MEMORY_LIMIT_MB: [(config) => config.memoryLimitMb, { 128: 128, 1048576: 1_048_576 }, ['127', '1048577']],
    JOB_CONCURRENCY: [({ jobs }) => jobs.concurrency, { 1: 1, 1000: 1000 }, ['0', '1001']],
    JOB_THREADS: [({ jobs }) => jobs.threads, { 0: 0, 1000: 1000 }, ['-1', '1001']],
    JOB_PROCESSOR: [
      ({ jobs }) => [jobs.enabled, jobs.inline],
      { 0: [false, false], 1: [true, false] },
      ['2', 'inline'],
    ],
    JOB_QUEUES: [({ jobs }) => jobs.queues[0]?.weight, { a: 1, 'a:999': 999 }, ['a:0', 'a:1000', 'a,a', 'a b']],
    JOB_LATENCY_WARNING: [({ jobs }) => jobs.latencyWarningMs, { 0: 0, '5m': 300_000, '1d': 86_400_000 }, ['25h']],
    JOB_ENCRYPTION_KEYS: [
      ({ jobs }) => jobs.encryptionKeys?.map(({ id }) => id).join(),
      { '': '', [`2026a:${KEY}, b:${KEY.slice(0, -1)}`]: '2026a,b' },
      [
        KEY,
        `a:${KEY.slice(4)}`,
        `a:A${KEY}`,
        `a:${KEY},a:${KEY}`,
        `a:${KEY},`,
        `a b:${KEY}`,
        `a:${KEY.replace('S', '!')}`,
      ],
    ],
    DATABASE_POOL: [({ databasePool }) => databasePool.web, { 1: 1, 1000: 1000 }, ['0', '1001']],
    REDIS: [(config) => config.redisOff, { '': false, off: true }, ['on', 'Off', '0', 'redis://u:pass@localhost']],
    REDIS_PREFIX: [(config) => config.redisPrefix, { 'a.b-c_1': 'a.b-c_1' }, ['a:b', '{a}', 'a'.repeat(65)]],
    OPS_TOKEN: [(config) => config.opsToken, { 'a-b_56789012345X': 'a-b_56789012345X' }, ['a'.repeat(15)]],
    APP_URL: [(config) => config.appUrl, { 'https://a.example/b//': 'https://a.example/b' }, ['ftp://a.example']],
    MAIL_DELIVERY: [
      ({ mail }) => mail.delivery,
      { log: 'log', test: 'test', sendmail: 'sendmail', pigeon: 'pigeon' },
      ['a pigeon', 'smtp', 'resend'],
    ],
    SMTP_URL: [({ mail }) => mail.delivery, { 'smtps://mail.example': 'smtp' }, ['http://mail.example']],
    STATSD_URL: [
      (config) => config.statsdUrl,
      { '': null, 'udp://127.0.0.1:8125': 'udp://127.0.0.1:8125', 'udp://[::1]:1': 'udp://[::1]:1' },
      ['tcp://h:8125', 'udp://h', 'udp://h:0', 'udp://h:65536', 'udp://h:8125/p', 'h:8125'],
    ],
    METRICS_TOKEN: [
      (config) => config.metricsToken,
      { '': null, 'c0ffee.~+/=-c0ffee': 'c0ffee.~+/=-c0ffee' },
      ['a'.repeat(15), 'has a space in the midst', 'naïve-naïve-naïve-naïve'],
    ],
    DATABASE_SCHEMA: [
      (config) => config.databaseSchema,
      { '': 'public', user: 'user', _shop_2: '_shop_2', ['s'.repeat(63)]: 's'.repeat(63) },
      ['s'.repeat(64), 'Shop', '2shop', 'shop-2', 'shop"; drop', 'pg_shop', 'information_schema', 'läden'],
    ],
    DEFAULT_LOCALE: [
      (config) => config.defaultLocale,
      { de: 'de', 'pt-br': 'pt-BR', 'ZH-hant-tw': 'zh-Hant-TW', ' ko ': 'ko', '': 'en' },
      ['de_DE', 'de_DE.UTF-8', 'C', 'pt-', 'en,de', '../en', 'überall'],
    ],
    PID_FILE: [({ control }) => control.pidFile, { 'run/shop.pid': '/srv/shop/run/shop.pid' }, []],
    STATE_FILE: [({ control }) => control.stateFile, { 'run/s.json': '/srv/shop/run/s.json' }, []],
    LOG_LEVEL: [({ log }) => log.level, { trace: 'trace', silent: 'silent' }, ['verbose']],
    LOG_FORMAT: [({ log }) => log.format, { pretty: 'pretty' }, ['text']],
  };
  for (const [variable, [of, values, wrong]] of Object.entries(BOUNDS))
    it(`accept ${variable} up to its bounds, in each of its units`, () => {
      for (const [given, meaning] of Object.entries(values))
        assert.deepEqual(of(read({ [variable]: given })), meaning, given);
      for (const given of wrong) {
        const message = complaints({ [variable]: given });
        assert.match(message, /a setting is wrong/, given);
        if (/TOKEN|@/.test(variable + given)) assert.ok(!message.includes(given), 'a secret');
        assert.doesNotMatch(message, /secret/i);
      }
    });

  it('size WEB_CONCURRENCY=auto by memory and cores', () => {
    const on = (memoryLimitMb: number | null, cores: number) =>
      readSettings({ env: { WEB_CONCURRENCY: 'auto' }, cwd: '/', machine: { memoryLimitMb, cores } }).web;
    const auto = (memoryLimitMb: number | null, cores: number) => on(memoryLimitMb, cores).concurrency;
    assert.equal(on(512, 8).sizing, '(512 MB − 200 MB) / 120 MB = 2, 8 cores: 2 workers');
    assert.equal(on(null, 1).sizing, '1 core, no memory limit: 1 worker');
    assert.equal(auto(512, 8), 2);
    assert.equal(auto(300, 8), 1);
    assert.equal(auto(null, 8), 8);
    assert.equal(auto(4096, 2), 2);
  });

  it('assume a limit of 512 MB on a dyno that reports none', () => {
    assert.equal(read({ DYNO: 'web.1' }).memoryLimitMb, 512);
    assert.equal(read({ DYNO: 'web.1', MEMORY_LIMIT_MB: '1024' }).memoryLimitMb, 1024);
    assert.equal(read().memoryLimitMb, null);
  });

  it('divide the memory that is planned for heaps', () => {
    assert.equal(read().heapCaps, null);
    assert.deepEqual(read({ MEMORY_LIMIT_MB: '512' }).heapCaps, { workerMb: 115, jobsMb: 144 });
    assert.deepEqual(read({ MEMORY_LIMIT_MB: '512', WEB_CONCURRENCY: '1' }).heapCaps, { workerMb: 166, jobsMb: 208 });
    const caps = read({ MEMORY_LIMIT_MB: '128', WEB_CONCURRENCY: '8' }).heapCaps;
    assert.deepEqual(caps, { workerMb: 64, jobsMb: 64 });
  });

  it('split the roles with --only', () => {
    assert.equal(read({}, 'web').jobs.enabled, false);
    assert.equal(read({}, 'jobs').web.enabled, false);
    assert.equal(read({}, 'jobs').control.socket, '/srv/shop/.catamount/control-jobs.sock');
    assert.match(complaints({}, 'cron'), /--only +is "cron"; it must be web or jobs/);
    assert.match(complaints({ JOB_PROCESSOR: '0' }, 'jobs'), /JOB_PROCESSOR/);
  });

  it('run jobs in the primary only where it has no workers, and then plan no heaps', () => {
    const inline = { JOB_PROCESSOR: 'inline' };
    const parts = (env: Record<string, string>, only?: string) => inlineParts(read(env, only));
    assert.deepEqual(parts({ ...inline, WEB_CONCURRENCY: '0' }), { web: true, jobs: true, all: true });
    assert.deepEqual(parts({ WEB_CONCURRENCY: '0' }), { web: true, jobs: false, all: false });
    assert.deepEqual(parts(inline, 'jobs'), { web: false, jobs: true, all: false });
    assert.deepEqual(parts({ ...inline, WEB_CONCURRENCY: '2' }, 'web'), { web: false, jobs: false, all: false });
    assert.match(complaints(inline), /JOB_PROCESSOR +is "inline"; it must be 0 or 1, unless WEB_CONCURRENCY=0/);
    const limit = { MEMORY_LIMIT_MB: '256', WEB_CONCURRENCY: '0' };
    assert.deepEqual([read({ ...limit, ...inline }).heapCaps, read(limit).heapCaps === null], [null, false]);
  });
});

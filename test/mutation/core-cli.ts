import type { Mutation } from './mutation';

const SETTINGS = 'test/core/settings.test.ts';
const LIFETIME = 'test/cluster/control/lifetime.test.ts';
const SERVER = 'test/cluster/control/server.test.ts';
const LOG_FILTER = 'test/core/log-filter.test.ts';
const TLS = 'test/core/tls-mode.test.ts';

/** Mutations of settings, the control socket, its state file, the log, texts, `catamount` and `catamount top`. */
const mutations: readonly Mutation[] = [
  {
    promise: 'no arguments of jobs are published on diagnostics channels',
    file: 'lib/core/diagnostics.ts',
    find: 'Object.fromEntries(fields.map((field) => [field, values[field]]))',
    replace: 'values',
    killedBy: ['test/core/diagnostics.test.ts'],
  },
  {
    promise: 'each run that has started tells on a diagnostics channel how it has ended, also one that lost its job',
    file: 'lib/core/diagnostics.ts',
    find: "  'job.fenced': JOB,\n",
    replace: '',
    killedBy: ['test/job/diagnostics.test.ts'],
  },
  {
    promise: 'after disconnect() nothing is enqueued',
    file: 'lib/role/connect/connection.ts',
    find: '    this.undo();\n',
    replace: '',
    killedBy: ['test/cli/outside-the-tree.deep.ts'],
  },
  {
    promise: 'the log shows no passwords of URLs',
    file: 'lib/core/logging.ts',
    find: "line.includes('://') ? withoutPasswords(line)",
    replace: "line.includes('://') ? line",
    killedBy: [LOG_FILTER],
  },
  {
    promise: 'certificates are checked unless a URL disables that',
    file: 'lib/core/tls.ts',
    find: "isThisMachine(hostname) ? 'verify-full' : 'disable'",
    replace: "isThisMachine(hostname) ? 'require' : 'disable'",
    killedBy: [TLS, 'test/model/database.test.ts'],
  },
  {
    promise: 'production requires REDIS_URL',
    file: 'lib/core/settings.ts',
    find: 'if (production && redis === null && !redisOff)',
    replace: 'if (production && redis === undefined && !redisOff)',
    killedBy: [SETTINGS],
  },
  {
    promise: 'the socket is private from the start',
    file: 'lib/cluster/control/server.ts',
    find: 'mode: 0o600 }',
    replace: 'mode: 0o666 }',
    killedBy: [LIFETIME],
  },
  {
    promise: 'a wrong token is rejected',
    file: 'lib/cluster/control/request.ts',
    find: 'if (!isSameSecret(',
    replace: 'if (isSameSecret(',
    killedBy: [SERVER, 'test/fuzz/control-socket.test.ts'],
  },
  {
    promise: 'one tree at a time removes leftovers, and never the new socket of another',
    file: 'lib/cluster/control/state-file.ts',
    find: 'while (!takeLock(lock)) await wait(LOCK_POLL_MS);',
    replace: 'if (!takeLock(lock)) await wait(LOCK_POLL_MS);',
    killedBy: ['test/cluster/control/lifetime.test.ts'],
  },
  {
    promise: 'what a script does not await is waited for',
    file: 'lib/role/connect/connection.ts',
    find: 'for (let quiet = 0; quiet < 2 &&',
    replace: 'for (let quiet = 0; quiet < 0 &&',
    killedBy: ['test/role/connect/connection.test.ts'],
  },
];

export default mutations;

import type { Mutation } from './mutation';

/** Mutations of how a tree starts, what it finds, and what it leaves; and of our own app. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a tree without a web says at PROBE_PORT that it is not ready while no job processor is',
    file: 'lib/role/start/primary.ts',
    find: "if (state === 'ready' || state === 'quiet') return this.stalledJobs",
    replace: "if (state !== 'disabled') return this.stalledJobs",
    killedBy: ['test/process/shapes.deep.ts'],
  },
  {
    promise: 'a broadcast reaches each process once, although both the primary and Redis carry it',
    file: 'lib/broadcast/redis-carrier.ts',
    find: 'if (tree !== this.tree) hear(frame);',
    replace: 'hear(frame);',
    killedBy: ['test/broadcast/redis-carrier.test.ts', 'test/process/broadcast.deep.ts'],
  },
  {
    promise: 'each request and WebSocket that a stop cuts off is named in the log',
    file: 'lib/role/start/web.ts',
    find: 'of this.server?.aborted ?? [])',
    replace: 'of this.server?.aborted.slice(0, 0) ?? [])',
    killedBy: ['test/process/koa-app.deep.ts'],
  },
  {
    promise: 'a process with pending migrations is not ready',
    file: 'lib/role/start/first-readiness.ts',
    find: 'if (names.length > 0) return',
    replace: 'if (names.length > 99) return',
    killedBy: ['test/role/start/first-readiness.test.ts', 'test/role/start/release.deep.ts'],
  },
  {
    promise: 'the pool drops a session in which Postgres rejects writes',
    file: 'lib/internals/knex-connections.ts',
    find: 'if (code === READ_ONLY) connection',
    replace: "if (code === '') connection",
    killedBy: ['test/model/database.test.ts'],
  },
  {
    promise: 'no tree starts with a mistake in its app',
    file: 'lib/role/start/app-check.ts',
    find: 'if (fatal.length === 0) return;',
    replace: 'if (fatal.length < 9) return;',
    killedBy: ['test/role/checks/check.test.ts', 'test/process/refused-start.deep.ts'],
  },
  {
    promise: "Catamount's migrations make their tables in the schema of DATABASE_SCHEMA",
    file: 'lib/model/migrator.ts',
    find: "if (isOurs && schema !== undefined) await trx.raw('set local search_path to ??', [schema]);",
    replace: '',
    killedBy: ['test/process/two-apps.deep.ts'],
  },
  {
    promise: 'only one process at a time has a folder',
    file: 'lib/embedded/folder-lock.ts',
    find: 'fs.linkSync(draft, file);',
    replace: 'fs.copyFileSync(draft, file);',
    killedBy: ['test/embedded/folder-lock.test.ts'],
  },
  {
    promise: 'embedded servers do not outlive a tree that is killed',
    file: 'lib/embedded/server-lifecycle.ts',
    find: '(pid) => keeper.watch(pid, server.stopSignal, server.mark)',
    replace: '() => undefined',
    killedBy: ['test/embedded/redis-alone.test.ts'],
  },
  {
    promise: 'a sign-up stores both the user and the job, or neither',
    file: 'lib/app/services/sign-up.ts',
    find: 'return await transaction(async () => {',
    replace: 'return await ((work: () => Promise<SignUp>) => work())(async () => {',
    killedBy: ['test/app/sign-up.test.ts'],
  },
  {
    promise: 'a taken address is rejected, even in a race',
    file: 'lib/app/services/sign-up.ts',
    find: 'if (User.isEmailTaken(error)) throw',
    replace: 'if (User.isEmailTaken(error) && !transaction) throw',
    killedBy: ['test/app/sign-up.test.ts'],
  },
  {
    promise: 'only the whole secret gives access to an account',
    file: 'lib/app/services/access-token.ts',
    find: 'return timingSafeEqual(hashToken(secret), digest);',
    replace: 'return hashToken(secret).length === digest.length;',
    killedBy: ['test/app/who-am-i.test.ts'],
  },
  {
    promise: 'the successor of a killed job processor takes over its jobs',
    file: 'lib/cluster/primary/processor-handle.ts',
    find: "PROCESSOR_ROLE, identity, quiet ? 'quiet' : 'open', ...dead),",
    replace: "PROCESSOR_ROLE, identity, quiet ? 'quiet' : 'open'),",
    killedBy: ['test/process/killed.deep.ts'],
  },
  {
    promise: 'a paused queue with jobs is reported as a standstill, but jobs that wait for a slot are not',
    file: 'lib/health/standstills.ts',
    find: 'ms >= STALLED_MS && (quiet || paused)',
    replace: 'ms >= STALLED_MS && quiet',
    killedBy: ['test/health/standstills.test.ts'],
  },
  {
    promise: '/ready stays 200 while jobs stand still, and says why',
    file: 'lib/web/health.ts',
    find: 'const reason = stalled ?? (running',
    replace: 'const reason = (running',
    killedBy: ['test/web/health.test.ts'],
  },
  {
    promise: 'a tree does not start with a Redis that is too old, would delete jobs, or is a cluster without a prefix',
    file: 'lib/role/start/redis-check.ts',
    find: `if (refuses && each.severity === 'error') throw`,
    replace: `if (refuses && each.text === '') throw`,
    killedBy: ['test/process/redis-kinds.deep.ts'],
  },
];

export default mutations;

import type { Mutation } from './mutation';

/** Mutations of the supervisor: the primary, its workers and its job processor. */
const mutations: readonly Mutation[] = [
  {
    promise: 'nothing is forked before the beforeFork of the app has ended',
    file: 'lib/role/start/primary.ts',
    find: 'await this.beforeFork(settled);',
    replace: 'void this.beforeFork(settled);',
    killedBy: ['test/cluster/primary/worker-hooks.deep.ts'],
  },
  {
    promise: 'the job processor starts only after the app has passed its check',
    file: 'lib/role/start/primary.ts',
    find: '      await permission;\n      if (this.stopped) return;\n      collectGarbage();',
    replace: '      if (this.stopped) return;\n      collectGarbage();',
    killedBy: ['test/cluster/primary/starts.deep.ts'],
  },
  {
    promise: 'the first worker loads alone',
    file: 'lib/cluster/primary/worker-pool.ts',
    find: 'if (handle.slot > 0) await this.firstLoaded.promise;',
    replace: 'if (handle.slot > 64) await this.firstLoaded.promise;',
    killedBy: ['test/cluster/primary/starts.deep.ts'],
  },
  {
    promise: 'a model with hooks of its own is asked by its own query',
    file: 'lib/model/find-by-id.ts',
    find: 'if (!isPlain) return false;',
    replace: '',
    killedBy: ['test/model/find-by-id.test.ts'],
  },
  {
    promise: 'a recurring job that was declared at run time does not take the name of one that a class declares',
    file: 'lib/job/cron/cron-table.ts',
    find: '       where old.args is not null\n       returning name',
    replace: '       returning name',
    killedBy: ['test/job/cron/run-time-cron.test.ts'],
  },
  {
    promise: 'an unread heartbeat is read before a processor is reported as frozen',
    file: 'lib/cluster/primary/jobs-watch.ts',
    find: 'if (silentMs() > CHILD_SILENT_MS) await',
    replace: 'if (silentMs() < 0) await',
    killedBy: ['test/cluster/primary/jobs-watch.test.ts'],
  },
  {
    promise: 'a stopping worker waits for `exit`, which follows the last connection sent to it',
    file: 'lib/cluster/worker.ts',
    find: 'if (!process.connected) process.exit(0);',
    replace: 'setImmediate(() => process.exit(0));',
    killedBy: ['test/cluster/worker.test.ts'],
  },
  {
    promise: 'a worker whose primary is gone finishes its requests in flight',
    file: 'lib/cluster/worker.ts',
    find: "process.on('disconnect', () => void this.leave(Deadline.after(this.orphanDrainMs), false));",
    replace: "process.on('disconnect', () => process.exit(0));",
    killedBy: ['test/cluster/worker.test.ts'],
  },
  {
    promise: 'in a stop, idle connections are handed off to the worker that stops last',
    file: 'lib/cluster/primary/worker-pool.ts',
    find: 'others.map((handle) => handle.stop(deadline, true))',
    replace: 'others.map((handle) => handle.stop(deadline, false))',
    killedBy: ['test/cluster/idle-connections.deep.ts'],
  },
  {
    promise: 'a connection that was sent to a killed worker, and never accepted, goes to another',
    file: 'lib/cluster/primary/worker-handle.ts',
    find: 'if (unconfirmed) this.pool.redispatch(unconfirmed);',
    replace: 'if (unconfirmed) closeConnection(unconfirmed);',
    killedBy: ['test/cluster/listening-socket.deep.ts'],
  },
  {
    promise: 'a worker whose threads are all busy gets no connection while another has free ones',
    file: 'lib/cluster/primary/listener.ts',
    find: 'free.filter(({ full }) => !full)',
    replace: 'free.filter(({ takes }) => takes)',
    killedBy: ['test/cluster/primary/crowd.deep.ts'],
  },
  {
    promise: 'processes that are still running at the deadline of a stop are killed',
    file: 'lib/cluster/primary/child-handle.ts',
    find: "if (late) this.kill('the deadline has passed');",
    replace: "if (late) this.events.emit('process.warning', { message: 'the deadline has passed' });",
    killedBy: ['test/cluster/primary/blocked-worker.deep.ts'],
  },
  {
    promise: 'the exit code says that a stop cut off requests at its deadline, even if no process was killed',
    file: 'lib/cluster/primary/child-handle.ts',
    find: 'failed: code !== 0 && this.wasReady ? 1 : 0',
    replace: 'failed: 0',
    killedBy: ['test/cluster/workers.deep.ts'],
  },
  {
    promise: 'connections that arrive while a stop is about to close the listening socket are held until then',
    file: 'lib/cluster/primary/listener.ts',
    find: 'this.holding = true;',
    replace: 'this.holding = this.closed;',
    killedBy: ['test/cluster/primary/listener.test.ts'],
  },
  {
    promise: 'a worker whose successor cannot boot keeps its slot',
    file: 'lib/cluster/primary/worker-pool.ts',
    find: '      slot.handle = slot.outgoing;\n      slot.outgoing = undefined;\n      return;',
    replace: '      slot.outgoing = undefined;\n      return;',
    killedBy: ['test/cluster/phased-restart.deep.ts'],
  },
  {
    promise: 'a broken deploy changes nothing, even where memory has no room for a second worker',
    file: 'lib/cluster/primary/phased-restart.ts',
    find: "this.proven ? this.orderFor(slot) : 'start-first'",
    replace: 'this.orderFor(slot)',
    killedBy: ['test/cluster/phased-restart.deep.ts'],
  },
];

export default mutations;

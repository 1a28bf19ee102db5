import type { Mutation } from './mutation';

const FUSED = 'lib/job/fetch/fetch-script.ts';
const LIMITS = 'lib/job/fetch/fetch-script.ts';
const OUTCOMES_TEST = ['test/job/fetch/fetch-script.test.ts'];
const LIMITS_TEST = ['test/job/fetch/limit-script.test.ts'];
const TAKE_OVER = 'lib/job/processes/heartbeat.ts';
const REGISTRY = 'lib/core/heartbeat-registry.ts';
const FETCHER = 'lib/job/fetch/fetcher.ts';
const FLEET_TEST = ['test/job/fetch/fleet.test.ts'];
const TAKE_OVER_TEST = ['test/job/processes/rescue.test.ts'];

/** Mutations of what Redis does with jobs: fetching, outcomes, limits, rescue. */
const mutations: readonly Mutation[] = [
  {
    promise: 'a lone job wakes one processor',
    file: FETCHER,
    find: `blocking.send('blmove', [waiting, offered, 'RIGHT', 'LEFT', BLOCK_S])`,
    replace: `blocking.send('blmove', [waiting, waiting, 'RIGHT', offered === '' ? 'LEFT' : 'RIGHT', BLOCK_S])`,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'a job that was offered to a process without room goes to another',
    file: FETCHER,
    find: `lost.length === 0 && !this.isOffered) break;`,
    replace: `lost.length === 0) break;`,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'a job that was offered to a process which has died is found again',
    file: FUSED,
    find: `for _, p in ipairs(KEYS) do recall(p) end`,
    replace: `if want == 0 then for _, p in ipairs(KEYS) do recall(p) end end`,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'an old run does not end a newer one’s job',
    file: FUSED,
    find: `local ok = current == fence`,
    replace: `local ok = current ~= false`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'a success counts though another process has the job by then',
    file: FUSED,
    find: `elseif op == 'complete' and markers:find('[fr]')`,
    replace: `elseif not current and op == 'complete' and markers:find('[fr]')`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'a success counts though its job has died by then: it leaves the dead set',
    file: FUSED,
    find: `call('zrem', p..'dead', id)\n    if class`,
    replace: `if class`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'the row of a job that ended is deleted, though Redis was emptied meanwhile',
    file: FUSED,
    find: `or op == 'complete' and markers:find('[fr]'))\n    and call('hexists'`,
    replace: `)\n    and call('hexists'`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'what a stop hands back goes to the head of its queue',
    file: FUSED,
    find: `call('rpush', p..'waiting', id)\n  local n`,
    replace: `call('lpush', p..'waiting', id)\n  local n`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'what a stop hands back is not counted as delivered',
    file: FUSED,
    find: `tonumber(fence:match('^%d+')) - uncounted`,
    replace: `tonumber(fence:match('^%d+'))`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'a job whose delivery was lost with its reply goes back',
    file: FUSED,
    find: `if d and lost:find('|'..d:match(':(.*)$')..'|', 1, true) then`,
    replace: `if not d then`,
    killedBy: [...OUTCOMES_TEST, ...LIMITS_TEST],
  },
  {
    promise: 'a job that was removed while it waited is not run',
    file: FUSED,
    find: `call('lrem', p..'active', 1, id); call('hdel', p..'deliveries', id)\n      elseif`,
    replace: `call('hdel', p..'deliveries', id)\n      elseif`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'no more jobs of a class run than may: each place that is taken counts',
    file: LIMITS,
    find: `free[class] = freePermits(class) - 1`,
    replace: `free[class] = freePermits(class)`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'no more jobs of a class run than may: those that run here count though Redis forgot them',
    file: LIMITS,
    find: `tonumber(limit) - math.max(taken, tonumber(here))`,
    replace: `tonumber(limit) - taken`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'the places of a dead process are free again',
    file: LIMITS,
    find: `if not call('lpos', p..'active', id) then`,
    replace: `if false then`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'blocked jobs go before what waits in their queue',
    file: FUSED,
    find: `id = popBlocked and popBlocked(p)\n      wasBlocked = id\n      id = id or call('rpoplpush', p..'waiting', p..'active')`,
    replace: `id = call('rpoplpush', p..'waiting', p..'active')\n      wasBlocked = false\n      if not id and popBlocked then id = popBlocked(p); wasBlocked = id end`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'others are woken when a place is free that this process does not take',
    file: LIMITS,
    find: `if call('srem', \${PLACES}..class, p..id) == 1 then freed[class] = true end`,
    replace: `call('srem', \${PLACES}..class, p..id)`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'jobs of a class whose limit is gone flow again',
    file: LIMITS,
    find: `or taken == 0 and math.huge or 0`,
    replace: `or 0`,
    killedBy: LIMITS_TEST,
  },
  {
    promise: 'a killed process’s jobs run next',
    file: TAKE_OVER,
    find: `call('rpush', p..'waiting', id)`,
    replace: `call('lpush', p..'waiting', id)`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'the living are not robbed: a judge looks again before it rescues, and one of many does',
    file: TAKE_OVER,
    find: `if limit > 0 then`,
    replace: `if false then`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'the living are not robbed: only its own deliveries are a dead process’s',
    file: TAKE_OVER,
    find: `if d and d:find(tokens, 1, true) then`,
    replace: `if d then`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'the living are not robbed: who was itself away does not judge',
    file: REGISTRY,
    find: `or now - last > tonumber(ARGV[6]) then`,
    replace: `then`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'the living are not robbed: who has not been here for long does not judge',
    file: REGISTRY,
    find: `if limit >= 0 and now - since > limit then`,
    replace: `if last > 0 then`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'what executes no command of a tree twice is that it takes it off the list first',
    file: 'lib/tree/tree-reporter.ts',
    find: 'const mine = await this.registry.take(id, text);',
    replace: 'const mine = true;',
    killedBy: ['test/tree/tree-reporter.test.ts'],
  },
  {
    promise: 'a command that was executed does not come again',
    file: REGISTRY,
    find: `for a = 8, #ARGV do call('lrem', KEYS[3], 1, ARGV[a]) end`,
    replace: '',
    killedBy: ['test/job/processes/process-list.test.ts'],
  },
  {
    promise: 'who lists the trees is noticed by them',
    file: REGISTRY,
    find: `if KEYS[2] then call('set', KEYS[2], 1, 'EX', ARGV[4]) end`,
    replace: '',
    killedBy: ['test/tree/tree-reporter.test.ts'],
  },
  {
    promise: 'a job that killed three processes is dead: a rescued delivery stays counted',
    file: TAKE_OVER,
    find: `call('lrem', p..'active', 1, id); call('srem', p..'stalling', id)`,
    replace: `call('lrem', p..'active', 1, id); call('hdel', p..'deliveries', id)`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'a successor rescues what its dead predecessor had in hand',
    file: 'lib/job/processes/heartbeat.ts',
    find: `const failure = await this.rescueFromDead()`,
    replace: `const failure = await Promise.resolve()`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'those that sent no heartbeat for too long are rescued by somebody',
    file: 'lib/job/processes/heartbeat.ts',
    find: `for (const other of reply.unresponsive)`,
    replace: `for (const other of reply.unresponsive.slice(1))`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'a job that runs for long is not taken for stalled',
    file: 'lib/internals/bee-queue.ts',
    find: `if (ids.length > 0) await`,
    replace: `if (ids.length > 99) await`,
    killedBy: TAKE_OVER_TEST,
  },
  {
    promise: 'an idle processor is woken by a job',
    file: 'lib/job/fetch/fetcher.ts',
    find: 'if (offered || this.inFlight > 0) this.wake();',
    replace: 'if (this.inFlight > 0) this.wake();',
    killedBy: ['test/job/pickup.test.ts'],
  },
  {
    promise: 'a processor is woken by jobs in queues that it does not wait for',
    file: 'lib/job/fetch/consumer.ts',
    find: `if (prefixes.has(prefix)) this.fetcher.wake();`,
    replace: `if (!prefixes.has(prefix)) this.fetcher.wake();`,
    killedBy: ['test/job/pickup.test.ts'],
  },
  {
    promise: 'what runs when a stop runs out of time is handed back',
    file: 'lib/job/processor.ts',
    find: `fetcher.returnRunning(returned, this.causeUnknown);`,
    replace: ``,
    killedBy: ['test/job/stop.test.ts'],
  },
  {
    promise: 'a paused queue is not behind',
    file: 'lib/job/processes/process-reporter.ts',
    find: `!paused && this.isBehind(latencyMs, before)`,
    replace: `this.isBehind(latencyMs, before)`,
    killedBy: ['test/job/processes/latency-monitor.test.ts'],
  },
  {
    promise: 'jobs begin in the order in which they were fetched',
    file: 'lib/job/fetch/fetcher.ts',
    find: `this.unbegun.push(...deliveries);`,
    replace: `this.unbegun.unshift(...deliveries);`,
    killedBy: ['test/job/fetch/fetcher.test.ts'],
  },
  {
    promise: 'wakes are heard though Redis was lost while they were subscribed to',
    file: 'lib/job/fetch/consumer.ts',
    find: `client.once('ready', ask);`,
    replace: ``,
    killedBy: ['test/job/fetch/bee-connection.test.ts'],
  },
  {
    promise: 'what a plain bee-queue worker had fail for good is dead',
    file: 'lib/job/queue/stray-jobs.ts',
    find: `if status == 'failed' then return die(p, id, '') end`,
    replace: ``,
    killedBy: ['test/fuzz/lost-lists.test.ts', 'test/job/outbox/lost-lists.test.ts'],
  },
];

export default mutations;

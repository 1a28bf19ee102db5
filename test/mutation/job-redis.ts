import type { Mutation } from './mutation';

const FUSED = 'lib/job/adapter/fused-script.ts';
const LIMITS = 'lib/job/adapter/limit-script.ts';
const OUTCOMES_TEST = ['test/job/adapter/fused-script.test.ts'];
const LIMITS_TEST = ['test/job/adapter/limit-script.test.ts'];

/** Mutations of what Redis does with jobs: fetching, outcomes, limits, rescue. */
const mutations: readonly Mutation[] = [
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
    find: `elseif op == 'done' and traces:find('[fr]')`,
    replace: `elseif not current and op == 'done' and traces:find('[fr]')`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'a success counts though its job has died by then: it leaves the dead set',
    file: FUSED,
    find: `call('zrem', p..'dead', id); call('srem', p..'failed', id); call('hdel', p..'gists', id)\n    if class`,
    replace: `if class`,
    killedBy: OUTCOMES_TEST,
  },
  {
    promise: 'the row of a job that ended is deleted, though Redis was emptied meanwhile',
    file: FUSED,
    find: `and traces:find('f', 1, true)\n    and call('hexists'`,
    replace: `and traces:find('x', 1, true)\n    and call('hexists'`,
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
    find: `tonumber(fence:match('^%d+')) - 1`,
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
    find: `free[class] = freePlaces(class) - 1`,
    replace: `free[class] = freePlaces(class)`,
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
    promise: 'held jobs go before what waits in their queue',
    file: FUSED,
    find: `id = popHeld and popHeld(p)\n      wasHeld = id\n      id = id or call('rpoplpush', p..'waiting', p..'active')`,
    replace: `id = call('rpoplpush', p..'waiting', p..'active')\n      wasHeld = false\n      if not id and popHeld then id = popHeld(p); wasHeld = id end`,
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
];

export default mutations;

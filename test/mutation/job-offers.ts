import type { Mutation } from './mutation';

const FETCH_SCRIPT = 'lib/job/fetch/fetch-script.ts';
const FETCHER = 'lib/job/fetch/fetcher.ts';
const FLEET_TEST = ['test/job/fetch/fleet.test.ts'];

/** Mutations of how a job is offered to one of several processes, and recalled from one that does not accept it. */
const mutations: readonly Mutation[] = [
  {
    promise: 'the process that offers a job checks whether it was accepted',
    file: 'lib/job/queue/dispatch.ts',
    find: "if (states.includes('queued')) lookAfterOffers",
    replace: "if (states.includes('expired')) lookAfterOffers",
    killedBy: FLEET_TEST,
  },
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
    find: `lostTokens.length === 0 && !this.isOffered) break;`,
    replace: `lostTokens.length === 0) break;`,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'a job that was offered to a process which has died is found again',
    file: FETCH_SCRIPT,
    find: `  if not id and not recalled then`,
    replace: `  if false then`,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'a job that was offered to a process without room is recalled even while there are others',
    file: FETCH_SCRIPT,
    find: `if recalled then for _, p in ipairs(KEYS) do recall(p) end end`,
    replace: ``,
    killedBy: FLEET_TEST,
  },
  {
    promise: 'a process that loses the reply to a recall asks for it again',
    file: FETCHER,
    find: `      this.recallDue = true;
      this.isolationDue = false;`,
    replace: `      this.isolationDue = false;`,
    killedBy: FLEET_TEST,
  },
];

export default mutations;

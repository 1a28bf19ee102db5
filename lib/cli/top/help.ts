import { type Line, line } from './view';

/** Shown by h. */
export const HELP: readonly Line[] = [
  line('catamount top: this tree, once a second', 'strong'),
  line(),
  line('  ↑ ↓ tab   choose a worker'),
  line('  r         recycle it: a fresh one takes its place (asks first)'),
  line('  R         phased restart: all workers, then the job processor (asks first)'),
  line('  + -       one worker more, one fewer'),
  line('  p         pause jobs: those that run finish, no more begin; again: resume'),
  line('  space     ask now'),
  line('  q Ctrl-C  quit; the tree goes on'),
  line(),
  line('  state     with a time: until it is cut off, or tried again'),
  line('  busy      requests in flight of the slots there are; jobs, of the most at once'),
  line('  wait      requests that have no slot yet'),
  line('  lag       how late the event loop was in the last second, 99th percentile'),
  line('  cpu       of one core; memory: proportional set size, which sums up'),
  line('  held      jobs set aside, since as many of their class run as may'),
  line('  outbox    jobs that are due and not in Redis yet'),
  line('  latency   how long the job that is next has waited'),
];

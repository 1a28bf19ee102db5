import type { QueueStatus } from '../../../job/queue/queue-status';
import { type Family, only, sample } from '../family';
import type { Readings } from '../readings';

/** Queues told by name; jobs may be put on queues of any name. */
const MOST_QUEUES = 100;

interface NamedQueue {
  readonly name: string;
  readonly queues: readonly QueueStatus[];
}

/** The first by name, and all others in one. */
function named({ queues = [] }: Readings): NamedQueue[] {
  const one = queues.slice(0, MOST_QUEUES).map((queue) => ({ name: queue.name, queues: [queue] }));
  const others = queues.slice(MOST_QUEUES);
  return others.length === 0 ? one : [...one, { name: 'other', queues: others }];
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

/** Shared by all trees on this Redis and Postgres: each tree tells the same. */
export const QUEUES: readonly Family[] = [
  {
    name: 'catamount_queue_jobs',
    shared: true,
    type: 'gauge',
    help: 'Jobs of a queue: waiting, held (as many of their class run as may), active, or in the outbox (due, not copied to Redis yet).',
    read: (readings) =>
      named(readings).flatMap(({ name, queues }) => {
        const { outbox } = readings;
        return [
          ...sample({ queue: name, state: 'waiting' }, sum(queues.map((queue) => queue.waiting))),
          ...sample({ queue: name, state: 'held' }, sum(queues.map((queue) => queue.held))),
          ...sample({ queue: name, state: 'active' }, sum(queues.map((queue) => queue.active))),
          ...sample(
            { queue: name, state: 'outbox' },
            outbox && sum(queues.map((queue) => outbox.due.get(queue.name) ?? 0)),
          ),
        ];
      }),
  },
  {
    name: 'catamount_queue_latency_seconds',
    shared: true,
    type: 'gauge',
    help: 'How long the job that is next has waited since it could have run.',
    read: (readings) =>
      named(readings).map(({ name, queues }) => ({
        labels: { queue: name },
        value: Math.max(...queues.map((queue) => queue.latencyMs)) / 1000,
      })),
  },
  {
    name: 'catamount_queue_paused',
    shared: true,
    type: 'gauge',
    help: 'Whether somebody has paused the queue.',
    read: (readings) =>
      named(readings).map(({ name, queues }) => ({
        labels: { queue: name },
        value: queues.some((queue) => queue.paused) ? 1 : 0,
      })),
  },
  {
    name: 'catamount_job_set_jobs',
    shared: true,
    type: 'gauge',
    help: 'Jobs in the retry, scheduled and dead sets.',
    read: ({ sets }) => Object.entries(sets).flatMap(([set, size]) => sample({ set }, size)),
  },
  {
    name: 'catamount_outbox_rows',
    shared: true,
    type: 'gauge',
    help: 'Rows in the outbox: jobs whose outcome is still to come. Counted up to 100000.',
    read: ({ outbox }) => only(outbox?.rows),
  },
  {
    name: 'catamount_outbox_age_seconds',
    shared: true,
    type: 'gauge',
    help: 'How long the oldest job that is due has waited in the outbox to be copied to Redis.',
    read: ({ outbox }) => only(outbox && outbox.ageMs / 1000),
  },
];

import { printable } from '../../support/printable';
import { table } from '../../support/text-table';
import type { CronListing } from '../cron/cron-board';
import type { Answer, JobCommand } from './command';
import { type Desk, unknownName } from './desk';
import { shortMoment } from './time-text';

const NAME = [{ name: 'NAME' }] as const;

const CRON_LIST: JobCommand = {
  name: 'cron list',
  operands: [],
  options: [],
  needs: ['postgres'],
  help: 'recurring jobs: their times, what they missed, whether they are paused',
  prepare: () => async (desk) => listing(desk, await desk.cron.list()),
};

interface Change {
  readonly action: 'run' | 'pause' | 'resume' | 'forget';
  readonly help: string;
  readonly done: string;
  readonly work: (desk: Desk, name: string) => Promise<void>;
}

const CHANGES: readonly Change[] = [
  {
    action: 'run',
    help: 'enqueue a recurring job now, beside its times',
    done: 'is enqueued by the next job processor that knows it',
    work: (desk, name) => desk.cron.runNow(name),
  },
  {
    action: 'pause',
    help: 'swallow the times of a recurring job from now on',
    done: 'is paused',
    work: (desk, name) => desk.cron.pause(name),
  },
  {
    action: 'resume',
    help: 'heed them again; what the pause swallowed is not caught up',
    done: 'runs at its times',
    work: (desk, name) => desk.cron.resume(name),
  },
  {
    action: 'forget',
    help: 'delete one whose class is gone',
    done: 'is forgotten; a job processor that still declares it brings it back as new',
    work: (desk, name) => desk.cron.forget(name),
  },
];

export const CRON: readonly JobCommand[] = [
  CRON_LIST,
  ...CHANGES.map(
    ({ action, help, done, work }): JobCommand => ({
      name: `cron ${action}`,
      operands: NAME,
      options: [],
      needs: ['postgres'],
      help,
      prepare:
        ({ operands: [name = ''] }) =>
        async (desk) => {
          const names = (await desk.cron.list()).map((one) => one.name);
          if (!names.includes(name)) throw unknownName('recurring job', name, names);
          await work(desk, name);
          return { json: { name, action }, text: `${name} ${done}.\n` };
        },
    }),
  ),
];

function listing(desk: Desk, listed: readonly CronListing[]): Answer {
  const heading = ['name', 'times', 'zone', 'next', 'last', 'missed', 'caught up', 'state'];
  const rows = listed.map((one) => [
    printable(one.name),
    printable(one.spec),
    printable(one.timeZone),
    shortMoment(one.nextTick?.toISOString() ?? null),
    shortMoment(one.lastTick?.toISOString() ?? null),
    String(one.missed),
    String(one.caughtUp),
    one.paused ? 'paused' : one.known ? 'open' : 'unknown to every job processor',
  ]);
  return {
    json: { cron: listed.map(jsonOf) },
    text:
      listed.length === 0
        ? 'There are no recurring jobs (a class declares them by `static cron`).\n'
        : `${table([heading, ...rows], desk.terminal.columns).join('\n')}\n`,
  };
}

function jsonOf(one: CronListing): object {
  return {
    name: one.name,
    class: one.class,
    spec: one.spec,
    time_zone: one.timeZone,
    catch_up: one.catchUp,
    paused: one.paused,
    known: one.known,
    next_tick: one.nextTick?.toISOString() ?? null,
    last_tick: one.lastTick?.toISOString() ?? null,
    last_enqueued_id: one.lastEnqueuedId,
    missed: one.missed,
    caught_up: one.caughtUp,
  };
}

import { countOf } from '../../support/count-text';
import type { Answer, JobCommand } from './command';
import { BOTH } from './command';
import { confirmed, type Desk } from './desk';
import { shortMoment } from './time-text';

const QUEUE = [{ name: 'QUEUE' }] as const;

export const PAUSE: JobCommand = {
  name: 'pause',
  operands: QUEUE,
  options: [],
  needs: ['redis'],
  help: 'no job of this queue begins any more, in any process; they may still be enqueued',
  prepare:
    ({ operands: [queue = ''] }) =>
    (desk) =>
      pause(desk, queue),
};

export const RESUME: JobCommand = {
  name: 'resume',
  operands: QUEUE,
  options: [],
  needs: ['redis'],
  help: 'jobs of this queue begin again after a pause (without QUEUE: the job processor, see above)',
  prepare:
    ({ operands: [queue = ''] }) =>
    async (desk) => {
      await desk.checkQueues([queue]);
      const changed = await desk.queues.resume(queue);
      const text = changed ? `Resumed ${queue}.\n` : `${queue} is not paused.\n`;
      return { json: { queue, paused: false, changed }, text };
    },
};

export const CLEAR: JobCommand = {
  name: 'clear',
  operands: QUEUE,
  options: ['yes'],
  needs: BOTH,
  help: 'delete all that waits in this queue; what runs, is scheduled, failed or dead stays',
  prepare:
    ({ operands: [queue = ''], options }) =>
    (desk) =>
      clear(desk, queue, options.yes === true),
};

async function pause(desk: Desk, queue: string): Promise<Answer> {
  await desk.checkQueues([queue]);
  const changed = await desk.queues.pause(queue);
  const [status] = await desk.queues.list([queue]);
  const { since, by } = status?.paused ?? { since: new Date(), by: 'somebody' };
  const when = shortMoment(since.toISOString());
  return {
    json: { queue, paused: true, changed, since: since.toISOString(), by },
    text: changed
      ? `Paused ${queue}: jobs resume ${queue} takes it back.\n`
      : `${queue} is paused already: ${when}, by ${by}.\n`,
  };
}

async function clear(desk: Desk, queue: string, yes: boolean): Promise<Answer> {
  await desk.checkQueues([queue]);
  const [status] = await desk.queues.list([queue]);
  const count = (status?.waiting ?? 0) + (status?.held ?? 0) + (status?.inOutbox ?? 0);
  if (count > 0) await confirmed(desk, yes, `delete ${countOf(count, 'job')} that wait in ${queue}`);
  const deleted = count === 0 ? 0 : await desk.queues.clear(queue);
  return {
    json: { queue, deleted },
    text:
      count === 0 ? `Nothing waits in ${queue}.\n` : `Deleted ${countOf(deleted, 'job')} that waited in ${queue}.\n`,
  };
}

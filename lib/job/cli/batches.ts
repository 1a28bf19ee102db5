import { countText, pluralize } from '../../support/counted';
import { escapeControls } from '../../support/terminal-text';
import { table } from '../../support/text-table';
import type { BatchStatus } from '../definition/batch';
import { cancelledText, readReason } from './cancel';
import {
  type Answer,
  type CommandContext,
  confirmed,
  type JobCommand,
  type Options,
  readNumber,
  wrongUsage,
} from './command';
import { shortMoment } from './list';

const ID = [{ name: 'ID' }] as const;
const LIMIT = 25;

const BATCH_LIST: JobCommand = {
  name: 'batch list',
  operands: [],
  options: ['limit'],
  help: 'the latest batches: their jobs, and what is left of them',
  prepare: ({ options }) => {
    const limit = readNumber('limit', options.limit) ?? LIMIT;
    return async ({ admin, terminal }) => {
      const batches = await admin.batches.list({ limit });
      const heading = ['id', 'state', 'total', 'left', 'dead', 'created', 'description'];
      const rows = batches.map((batch) => [
        batch.id,
        batch.state,
        countText(batch.total),
        countText(batch.pending),
        countText(batch.dead),
        shortMoment(batch.createdAt.toISOString()),
        escapeControls(batch.description),
      ]);
      const text =
        batches.length === 0 ? 'There are no batches.\n' : lines(table([heading, ...rows], terminal.columns));
      return { json: { batches }, text };
    };
  },
};

const BATCH_SHOW: JobCommand = {
  name: 'batch show',
  operands: ID,
  options: [],
  help: 'a batch in numbers',
  prepare:
    ({ operands: [id = ''] }) =>
    async ({ admin, terminal }) => {
      const batch = await admin.batches.find(id);
      if (!batch) return gone(id);
      const rows = Object.entries({
        ...{ id: batch.id, state: batch.state, description: batch.description, tags: batch.tags.join(', ') },
        ...{ within: batch.parentId, total: batch.total, left: batch.pending, dead: batch.dead, done: batch.done },
        created: batch.createdAt.toISOString(),
        completed: batch.completedAt?.toISOString(),
        ended: batch.endedAt?.toISOString(),
      }).flatMap(([name, value]) =>
        value === undefined || value === '' ? [] : [[name, escapeControls(String(value))]],
      );
      return { json: batch, text: lines(table(rows, terminal.columns)) };
    },
};

interface Act {
  readonly help: string;
  readonly options: JobCommand['options'];
  /** What has to be confirmed; undefined: nothing. */
  readonly question?: (batch: BatchStatus) => string;
  readonly act: (context: CommandContext, id: string, options: Options) => Promise<Omit<Answer, 'ok'>>;
}

const ACTS: Readonly<Record<string, Act>> = {
  cancel: {
    help: 'end a batch without its callbacks, and cancel its jobs',
    options: ['reason', 'yes'],
    question: ({ pending }) => `cancel the batch with ${pluralize(pending, 'job')}`,
    act: async ({ admin }, id, { reason }) => {
      const counts = await admin.batches.cancel(id, { reason: readReason(reason) });
      return { json: { id, ...counts }, text: `The batch is cancelled.\n${cancelledText(counts)}` };
    },
  },
  retry: {
    help: 'put the dead jobs of a batch back on their queues',
    options: [],
    act: async ({ admin }, id) => {
      const { moved: retried } = await admin.act('retry', 'dead', { filter: { batch: id } });
      return { json: { id, retried }, text: `Retried ${pluralize(retried, 'job')}.\n` };
    },
  },
  seal: {
    help: 'let a batch end whose filling has stopped half-way',
    options: [],
    act: async ({ admin }, id) => {
      await admin.batches.seal(id);
      return { json: { id }, text: 'The batch is sealed: it ends when none of its jobs is left.\n' };
    },
  },
};

export const BATCH: readonly JobCommand[] = [
  BATCH_LIST,
  BATCH_SHOW,
  ...Object.entries(ACTS).map(
    ([name, { help, options, question, act }]): JobCommand => ({
      name: `batch ${name}`,
      operands: ID,
      options,
      help,
      prepare: ({ operands: [id = ''], options: given }) => {
        if (given.reason !== undefined) readReason(given.reason);
        return async (context) => {
          const batch = await context.admin.batches.find(id);
          if (!batch) return gone(id);
          if (batch.endedAt && name !== 'cancel') throw wrongUsage(`The batch ${id} has ended: it is ${batch.state}.`);
          if (question) await confirmed(context, given.yes === true, question(batch));
          return act(context, batch.id, given);
        };
      },
    }),
  ),
];

function gone(id: string): Answer {
  return { json: null, text: '', notes: [`There is no batch ${id}; batches are kept for a week.`], ok: false };
}

function lines(rows: readonly string[]): string {
  return `${rows.join('\n')}\n`;
}

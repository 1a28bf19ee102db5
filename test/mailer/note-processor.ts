/** A job processor that sends notes, in its own process, so that it can be killed. It tells its parent what it has recorded. */
import { type ChildProcess, fork } from 'node:child_process';
import { Events } from '../../lib/core/events';
import { Redis } from '../../lib/core/redis';
import { Job } from '../../lib/job/job';
import { JobRegistry } from '../../lib/job/job-registry';
import { JobProcessor, type Lineage } from '../../lib/job/processor';
import { Mailer } from '../../lib/mailer/mailer';
import { Database } from '../../lib/model/database';
import { connectJobs } from '../../lib/role/connect/connect-app';
import { TWO_QUEUES } from '../job/job-system';
import { mailDelivery } from './mail-system';

const CONCURRENCY = 8;
/** One call out of this many fails. */
const FAILING = 4;

interface NoteRow {
  readonly id: number;
  readonly text: string;
}

class NoteMailer extends Mailer {
  static override readonly layout = false;
  static readonly note = this.action('note');
  note(to: string, id: number, text: string) {
    return this.mail({ to, subject: `note ${id} ${text}` });
  }
}

/** Sends the unsent notes in random order, and often fails in between. */
export class NotesJob extends Job<[reader: string]> {
  static override readonly retryIn = () => '20ms' as const;

  async perform(reader: string): Promise<void> {
    const knex = connected();
    const unsent = await knex('notes').where({ reader, sent: false }).orderByRaw('random()').select<NoteRow[]>();
    for (const { id, text } of unsent) {
      mayFail();
      await NoteMailer.note(reader, id, text).deliverNow();
      mayFail();
      await knex('notes').where({ id }).update({ sent: true });
    }
  }
}

export interface NoteProcessorOptions {
  readonly database: string;
  readonly redis: string;
  readonly smtp: string;
  readonly templatesDir: string;
  readonly lineage: Lineage;
}

/** Starts a processor. It ends with its parent at the latest. */
export function startNoteProcessor(options: NoteProcessorOptions): ChildProcess {
  return fork(__filename, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
}

let database: Database | undefined;

function connected() {
  if (!database) throw new Error('there is no database');
  return database.knex;
}

function mayFail(): void {
  if (Math.random() < 1 / FAILING) throw new Error('the API fails');
}

async function main(options: NoteProcessorOptions): Promise<void> {
  const events = new Events();
  const redis = new Redis(options.redis, events);
  const own = new Database(options.database, { production: false, events, poolMax: CONCURRENCY + 4 });
  database = own;
  const { templatesDir } = options;
  const smtp = { delivery: 'smtp', smtpUrl: options.smtp } as const;
  const delivery = await mailDelivery(own.knex, events, smtp, { templatesDir });
  connectJobs({ database: own, redis, events });
  Mailer.connect(delivery);
  events.on('mail.sent', ({ messageId }) => void process.send?.(messageId));
  const processor = new JobProcessor({
    config: { jobs: { ...TWO_QUEUES, concurrency: CONCURRENCY }, environment: 'test' },
    redisUrl: options.redis,
    database: own,
    redis,
    events,
    registry: new JobRegistry([NotesJob]),
    lineage: options.lineage,
  });
  await redis.start();
  await delivery.start();
  await processor.start();
}

if (require.main === module) {
  process.on('disconnect', () => process.exit());
  void main(JSON.parse(process.argv[2] ?? '{}') as NoteProcessorOptions);
}

import type { Knex } from 'knex';
import { EXIT, UserError } from '../../core/errors';
import type { RedisClient } from '../../core/redis';
import { didYouMean } from '../../support/text';
import { JobSets } from '../admin/job-admin';
import { JobView } from '../admin/job-json';
import { Queues } from '../admin/queues';
import { CronTable } from '../cron/cron-table';
import { type JobClass, jobNameOf } from '../definition/job-class';
import type { JobDependencies } from '../enqueue/enqueue';
import type { JobRegistry } from '../job-registry';
import { ProcessList } from '../processes/process-list';
import type { Auditor } from '../sets/query';
import { History } from '../stats/history';
import type { Terminal } from './terminal';

interface DeskParts extends Auditor {
  readonly redis: RedisClient;
  readonly knex: Knex;
  /** Those that this app's settings name. */
  readonly queues: readonly string[];
  readonly registry: JobRegistry;
  readonly equipment: JobDependencies;
  readonly terminal: Terminal;
}

/** Where an operator sits who types commands: all that these work with. */
export class Desk {
  readonly queues: Queues;
  readonly cron: CronTable;
  readonly processes: ProcessList;
  readonly history: History;
  readonly view: JobView;
  readonly terminal: Terminal;
  private readonly names: readonly string[];
  private known: Promise<string[]> | undefined;

  constructor(readonly parts: DeskParts) {
    const { redis, knex, registry, equipment, terminal } = parts;
    this.names = [...new Set([...parts.queues, ...[...registry].map((jobClass) => jobClass.queue)])];
    this.queues = new Queues({ ...parts, queues: this.names });
    this.cron = new CronTable(knex, parts);
    this.processes = new ProcessList(redis, parts);
    this.history = new History(redis);
    this.view = new JobView(registry, equipment.setup?.filterArguments);
    this.terminal = terminal;
  }

  /** Of the settings, of the classes, and whatever else exists. */
  queueNames(): Promise<string[]> {
    this.known ??= this.queues.names();
    return this.known;
  }

  async sets(): Promise<JobSets> {
    return new JobSets({ ...this.parts, queues: await this.queueNames() });
  }

  /** @throws UserError that suggests another name for a queue that does not exist. */
  async checkQueues(names: readonly string[] = []): Promise<void> {
    const known = await this.queueNames();
    for (const name of names) if (!known.includes(name)) throw unknownName('queue', name, known);
  }

  /** @throws UserError that suggests another name. */
  jobClass(name: string): JobClass {
    const found = this.parts.registry.get(name);
    if (found) return found;
    throw unknownName('job class', name, this.classNames());
  }

  /**
   * For a filter that nothing matches. Jobs of a class that is gone may well be there; when there are none the name was
   * probably mistyped. @throws UserError that suggests another.
   */
  checkClass(name: string | undefined): void {
    if (name !== undefined) this.jobClass(name);
  }

  private classNames(): string[] {
    return [...this.parts.registry].map(jobNameOf).sort();
  }
}

/**
 * Has somebody say yes to what concerns many jobs.
 * @param yes it was said beforehand.
 * @throws UserError when nobody is there to be asked, or the answer is not yes.
 */
export async function confirmed({ terminal }: Desk, yes: boolean, deed: string): Promise<void> {
  if (yes) return;
  if (!terminal.isInteractive) throw new UserError(`This would ${deed}: say --yes to mean it.`, EXIT.usage);
  if (await terminal.confirm(`${deed[0]?.toUpperCase()}${deed.slice(1)}?`)) return;
  throw new UserError('Nothing was changed.');
}

export function unknownName(kind: string, name: string, known: readonly string[]): UserError {
  const near = didYouMean(name, known);
  const meant = near === undefined ? '' : ` Did you mean ${near}?`;
  const all = known.length === 0 ? 'There is none yet.' : `There are: ${known.join(', ')}.`;
  return new UserError(`There is no ${kind} ${JSON.stringify(name)}.${meant} ${all}`);
}

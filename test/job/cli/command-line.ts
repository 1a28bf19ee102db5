import { PassThrough, Writable } from 'node:stream';
import type { Caller } from '../../../lib/core/events';
import { JobAdmin } from '../../../lib/job/admin/job-admin';
import { parseJobCommand } from '../../../lib/job/cli/commands';
import { type Streams, Terminal } from '../../../lib/job/cli/terminal';
import type { JobClass } from '../../../lib/job/definition/job-class';
import type { JobDependencies } from '../../../lib/job/enqueue/connection';
import { JobRegistry } from '../../../lib/job/job-registry';
import { adoptDatabase } from '../../../lib/job/row/installation';
import { listProcesses } from '../../../lib/tree/processors';
import type { JobSystem } from '../job-system';

export interface CommandResult {
  /** The output of --json. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly notes: readonly string[];
  readonly ok: boolean;
}

export interface CommandLineOptions {
  readonly equipment?: JobDependencies;
  /** What the operator types when asked. With it, the input is a terminal. */
  readonly answers?: string;
  /** Called with each text that is written to stderr, such as questions and progress. */
  readonly onSaid?: (text: string) => void;
  /** Width of the terminal. */
  readonly columns?: number;
  readonly via?: Caller;
  /** A Redis connection of another process. Default: the system's. */
  readonly redis?: JobSystem['redis'];
}

/** An operator who types commands, on the real Redis and Postgres of a test. */
export class CommandLine {
  /** What was written to stderr: questions, progress. */
  said = '';
  private readonly terminal: Terminal;

  constructor(
    private readonly system: JobSystem,
    private readonly classes: readonly JobClass[],
    private readonly options: CommandLineOptions = {},
  ) {
    this.terminal = new Terminal(this.streams());
  }

  /** @param command words separated by spaces, or a list of words. @throws the error that ends the command. */
  async run(command: string | readonly string[]): Promise<CommandResult> {
    const { redis, database, events } = this.system;
    const { equipment = {}, via = 'cli:test' } = this.options;
    const typed = parseJobCommand(typeof command === 'string' ? command.split(' ') : command);
    if (typed.help) throw new Error('help was asked for');
    const processes = () => listProcesses((this.options.redis ?? redis).client);
    const sources = { processes, knex: database.knex, events, via };
    const registry = new JobRegistry(this.classes);
    const named = this.classes.flatMap(({ queue }) => (typeof queue === 'function' ? [] : queue));
    const queues = [...new Set(['default', 'mailer', ...named])];
    const adopt = () => adoptDatabase(sources.knex);
    const admin = new JobAdmin({ ...sources, queues });
    const context = { admin, registry, equipment, terminal: this.terminal, adopt };
    const { json, text, notes = [], ok = true } = await typed.run(context);
    return { json: JSON.parse(JSON.stringify(json)) as CommandResult['json'], text, notes, ok };
  }

  private streams(): Streams {
    const { answers, columns } = this.options;
    const isTTY = answers !== undefined || columns !== undefined;
    const input = new PassThrough();
    if (answers !== undefined) input.end(answers);
    return {
      input: Object.assign(input, { isTTY: answers !== undefined }),
      output: Object.assign(new PassThrough(), { isTTY, ...(columns !== undefined && { columns }) }),
      errors: Object.assign(
        new Writable({
          write: (chunk, _, done) => {
            this.said += String(chunk);
            this.options.onSaid?.(String(chunk));
            done();
          },
        }),
        { isTTY },
      ),
    };
  }
}

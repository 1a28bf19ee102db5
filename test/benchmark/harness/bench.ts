import fs from 'node:fs';
import path from 'node:path';
import type { ContenderName } from '../contender/contenders';
import type { Assignment, Task } from '../contender/process';
import { Child, type ChildOptions } from './processes';
import { RESULTS, ROOT } from './product';
import { Stores } from './stores';

const CONTENDER = path.join(__dirname, '../contender/process.js');

export interface Benchmark {
  readonly about: string;
  /** Whether it needs the packages that the product is compared with, which are then installed. */
  readonly peers: boolean;
  /** Prints as it goes. @returns the figures to be kept, as JSON. */
  run(bench: Bench): Promise<object>;
}

export interface BenchOptions {
  /** Fewer rounds of fewer jobs: to see where things stand, not to publish. */
  readonly quick: boolean;
  /** Instead of the benchmark's own number. */
  readonly rounds: number | undefined;
  /** How long to load, for a benchmark that loads for a time: instead of its own. */
  readonly minutes: number | undefined;
  /** Whether each measured process of the product writes a CPU profile. */
  readonly profile: boolean;
  /** Another checkout, whose benchmarks are built: its job layer takes part, so that a change can be measured. */
  readonly against: string | undefined;
  /** Instead of the benchmark's own. */
  readonly contenders: readonly ContenderName[] | undefined;
  /** Only rows whose name begins or ends with this. */
  readonly only: string | undefined;
}

/** What a benchmark has to work with. */
export class Bench {
  private started: Promise<Stores> | undefined;

  constructor(readonly options: BenchOptions) {}

  get rounds(): number {
    return this.options.rounds ?? (this.options.quick ? 3 : 5);
  }

  /** Started when they are first asked for. */
  stores(): Promise<Stores> {
    this.started ??= Stores.start();
    return this.started;
  }

  wants(row: string): boolean {
    const { only } = this.options;
    return only === undefined || row.startsWith(only) || row.endsWith(only);
  }

  /** Which of these to measure. The first is compared with the others. */
  choose(own: readonly ContenderName[]): readonly ContenderName[] {
    const { contenders, against } = this.options;
    const chosen = contenders ? own.filter((name) => contenders.includes(name)) : own;
    return against !== undefined && chosen.includes('catamount') ? [...chosen, 'other'] : chosen;
  }

  /** Has a contender perform one task in a process of its own. @param rttMs to the stores. */
  async run<T>(contender: ContenderName, rttMs: number, task: Task): Promise<T> {
    const measured = contender.startsWith('catamount') && ['drain', 'enqueue'].includes(task.kind);
    const child = await this.fork(contender, rttMs, task, measured ? this.profiling() : {});
    try {
      return await child.next<T>();
    } finally {
      await child.ended();
    }
  }

  /** As `run` does, for a task that sends more than its result. */
  async fork(contender: ContenderName, rttMs: number, task: Task, options: ChildOptions = {}): Promise<Child> {
    const { against = '' } = this.options;
    const file = contender === 'other' ? CONTENDER.replace(ROOT, path.resolve(against)) : CONTENDER;
    const assignment: Assignment = { contender, stores: await (await this.stores()).urls(rttMs), task };
    return new Child(file, assignment, options);
  }

  /** How to start a measured process of the product. */
  profiling(): ChildOptions {
    if (!this.options.profile) return {};
    const folder = path.join(RESULTS, 'profiles');
    fs.mkdirSync(folder, { recursive: true });
    return { execArgv: ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=200'] };
  }

  say(line: string): void {
    process.stdout.write(`${line}\n`);
  }

  async end(): Promise<void> {
    await (await this.started)?.remove();
  }
}

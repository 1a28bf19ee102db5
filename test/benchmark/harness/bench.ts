import path from 'node:path';
import type { ContenderName } from '../contender/contenders';
import type { Assignment, Task } from '../contender/process';
import { Child } from './processes';
import { Stores } from './stores';

const CONTENDER = path.join(__dirname, '../contender/process.js');

export interface Benchmark {
  readonly about: string;
  /** True when it needs the packages that the product is compared with; they are then installed first. */
  readonly peers: boolean;
  /** Runs the benchmark and prints its progress and tables. @returns the figures to store as JSON. */
  run(bench: Bench): Promise<object>;
}

export interface BenchOptions {
  /** Fewer rounds of fewer jobs, for orientation, not for publication. */
  readonly quick: boolean;
  /** Number of rounds; undefined for the benchmark's own. */
  readonly rounds: number | undefined;
  /** Duration of the load, minutes, for benchmarks that load for a time; undefined for the benchmark's own. */
  readonly minutes: number | undefined;
  /** The contenders to measure; undefined for the benchmark's own. */
  readonly contenders: readonly ContenderName[] | undefined;
  /** Limits the run to rows whose name begins or ends with this. */
  readonly only: string | undefined;
  /** The folder of another checkout, built, that is measured too. */
  readonly beside: string | undefined;
}

/** The options, stores and processes of a benchmark's run. */
export class Bench {
  private started: Promise<Stores> | undefined;

  constructor(readonly options: BenchOptions) {}

  get rounds(): number {
    return this.options.rounds ?? (this.options.quick ? 3 : 5);
  }

  /** The stores of the run, started with the first call. */
  stores(): Promise<Stores> {
    this.started ??= Stores.start();
    return this.started;
  }

  wants(row: string): boolean {
    const { only } = this.options;
    return only === undefined || row.startsWith(only) || row.endsWith(only);
  }

  /** Filters the contenders by the options. The first is compared with the others. */
  choose(own: readonly ContenderName[]): readonly ContenderName[] {
    const { contenders } = this.options;
    return contenders ? own.filter((name) => contenders.includes(name)) : own;
  }

  /** Performs one task of a contender in a process of its own. @param rttMs round trip time to the stores, ms. */
  async run<T>(contender: ContenderName, rttMs: number, task: Task): Promise<T> {
    const child = await this.fork(contender, rttMs, task);
    try {
      return await child.next<T>();
    } finally {
      await child.ended();
    }
  }

  /** Starts the process of a task that sends more than its result; `run` is for all others. */
  async fork(contender: ContenderName, rttMs: number, task: Task): Promise<Child> {
    const assignment: Assignment = { contender, stores: await (await this.stores()).urls(rttMs), task };
    return new Child(CONTENDER, assignment);
  }

  say(line: string): void {
    process.stdout.write(`${line}\n`);
  }

  async end(): Promise<void> {
    await (await this.started)?.remove();
  }
}

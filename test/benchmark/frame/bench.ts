import fs from 'node:fs';
import path from 'node:path';
import type { ContenderName } from '../contender/contenders';
import type { Assignment, Task } from '../contender/task';
import { type ChildOptions, runChild } from './child';
import { Grounds } from './grounds';
import { CODE, RESULTS, ROOT } from './store';

export const PROCESS = path.join(CODE, 'test/benchmark/contender/process.js');

export interface BenchOptions {
  /** Fewer rounds of fewer jobs: to see where things stand, not to publish. */
  readonly quick: boolean;
  /** Instead of the benchmark's own number. */
  readonly rounds: number | undefined;
  /** Of load, where a benchmark loads for a while: instead of its own. */
  readonly minutes: number | undefined;
  /** Writes a CPU profile of each measured process of ours. */
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
  private made: Promise<Grounds> | undefined;

  constructor(readonly options: BenchOptions) {}

  get rounds(): number {
    return this.options.rounds ?? (this.options.quick ? 3 : 5);
  }

  /** Made when first asked for. */
  grounds(): Promise<Grounds> {
    this.made ??= Grounds.make();
    return this.made;
  }

  wants(row: string): boolean {
    const { only } = this.options;
    return only === undefined || row.startsWith(only) || row.endsWith(only);
  }

  /** Whom of these to measure. The first is compared with the others. */
  choose(own: readonly ContenderName[]): readonly ContenderName[] {
    const { contenders, against } = this.options;
    const chosen = contenders ? own.filter((name) => contenders.includes(name)) : own;
    return against !== undefined && chosen.includes('catamount') ? [...chosen, 'other'] : chosen;
  }

  /** One task in a process of its own. @param rttMs to the stores. */
  async run<T>(contender: ContenderName, rttMs: number, task: Task): Promise<T> {
    const { against = '' } = this.options;
    const file = contender === 'other' ? PROCESS.replace(ROOT, path.resolve(against)) : PROCESS;
    return runChild<T>(file, await this.assignment(contender, rttMs, task), this.childOptions(contender, task));
  }

  async assignment(contender: ContenderName, rttMs: number, task: Task): Promise<Assignment> {
    const grounds = await this.grounds();
    return { contender, stores: await grounds.stores(rttMs), task };
  }

  say(line: string): void {
    process.stdout.write(`${line}\n`);
  }

  async end(): Promise<void> {
    await (await this.made)?.remove();
  }

  private childOptions(contender: ContenderName, task: Task): ChildOptions {
    if (!this.options.profile || !['drain', 'enqueue'].includes(task.kind)) return {};
    if (!contender.startsWith('catamount')) return {};
    const folder = path.join(RESULTS, 'profiles');
    fs.mkdirSync(folder, { recursive: true });
    return { execArgv: ['--cpu-prof', `--cpu-prof-dir=${folder}`, '--cpu-prof-interval=200'] };
  }
}

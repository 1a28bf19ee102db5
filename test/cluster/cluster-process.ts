import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';
import { until } from '../support/until';

const entry = path.resolve(__dirname, '../fixtures/cluster/tree.ts');

export interface Happening {
  readonly name: string;
  readonly slot?: number;
  readonly pid?: number;
  readonly address?: string;
  readonly code?: number | null;
  readonly signal?: string | null;
  readonly expected?: boolean;
  readonly waitMs?: number;
  readonly phase?: number;
  readonly reason?: string;
  readonly killed?: number;
  /** A line that a worker printed outside its log. */
  readonly line?: string;
  /** The worker that did: `web.0`. */
  readonly child?: string;
  /** Where broadcasts are dropped. */
  readonly to?: string;
}

/** The primary of test/fixtures/cluster/tree.ts in its own process, and the events that it prints. */
export class ClusterProcess {
  readonly happenings: Happening[] = [];
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  errors = '';
  private readonly child: ChildProcess;

  constructor(...args: string[]) {
    this.child = spawn(process.execPath, ['--import', 'tsx', entry, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve({ code, signal })));
    if (this.child.stdout) {
      readline.createInterface(this.child.stdout).on('line', (line) => {
        if (line.startsWith('{')) this.happenings.push(JSON.parse(line) as Happening);
      });
    }
    this.child.stderr?.on('data', (data) => {
      this.errors += data;
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  of(name: string): Happening[] {
    return this.happenings.filter((happening) => happening.name === name);
  }

  /** Waits for the n-th event of that name. */
  async nth(name: string, n = 1): Promise<Happening> {
    return until(`${name} has happened ${n} times: ${this.errors}`, () => this.of(name)[n - 1]);
  }

  /** Waits for an event of that name after the first `from` events. */
  async since(from: number, name: string): Promise<Happening> {
    const find = () => this.happenings.slice(from).find((happening) => happening.name === name);
    return until(`${name} happens: ${this.errors}`, find);
  }

  async address(): Promise<string> {
    return (await this.nth('listening')).address ?? '';
  }

  /** The pid of the worker that was the last to become ready in the slot, or 0. */
  pidOf(slot: number): number {
    return this.of('worker.ready').findLast((ready) => ready.slot === slot)?.pid ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async end(): Promise<void> {
    this.child.kill('SIGTERM');
    await this.ended;
  }
}

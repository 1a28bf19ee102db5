import path from 'node:path';
import { Child } from '../frame/child';

const PROCESS = path.join(__dirname, 'process.js');

/** So many requests, then no more. */
export interface LoadTask {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly amount: number;
  /** Each request signs somebody up whose address begins with this. */
  readonly signUps?: string;
  /** Requests a second, at most. Default: as many as are answered. */
  readonly rate?: number;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly answered: number;
  /** Of each, ms. */
  readonly latencies: readonly number[];
  /** Statuses that are no success, and errors of connections, with how often they came. */
  readonly wrong: Readonly<Record<string, number>>;
}

/** autocannon in a process of its own. Loads addresses of this machine only. */
export class Loader {
  private readonly child = new Child(PROCESS, {}, { limitMs: 2 ** 31 - 1 });

  /** @throws when anything was not answered with success: then the figures would mean nothing. */
  async run(task: LoadTask): Promise<LoadResult> {
    if (!['127.0.0.1', 'localhost'].includes(new URL(task.url).hostname)) {
      throw new Error(`${task.url} is not on this machine`);
    }
    this.child.send(task);
    const result = await this.child.next<LoadResult>();
    if (Object.keys(result.wrong).length > 0 || result.answered !== task.amount) {
      const { answered, wrong } = result;
      throw new Error(`${task.method} ${task.url}: ${answered} of ${task.amount} answered, ${JSON.stringify(wrong)}`);
    }
    return result;
  }

  async end(): Promise<void> {
    await this.child.kill();
  }
}

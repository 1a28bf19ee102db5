import { NotConnectedError } from '../core/errors';
import { Job } from '../job/job';
import type { TestMode } from './mode';

/** What `useFakeJobs` and its like give back. */
export interface TestJobs {
  /** Forgets all jobs, enqueued and performed. */
  clear(): Promise<void>;
  /** Gives jobs their way back that they had before, and closes what was opened. Idempotent. */
  restore(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The last one is in use. */
const connected: TestMode[] = [];

export function connectMode(mode: TestMode): TestJobs {
  connected.push(mode);
  connectLast();
  const restore = async () => {
    const index = connected.indexOf(mode);
    if (index < 0) return;
    connected.splice(index, 1);
    connectLast();
    await mode.close();
  };
  return { clear: () => mode.clear(), restore, [Symbol.asyncDispose]: restore };
}

/** @throws NotConnectedError where the test has connected none. */
export function connectedMode(asker: string): TestMode {
  const mode = connected.at(-1);
  if (mode) return mode;
  throw new NotConnectedError(`${asker} knows of no jobs: call useFakeJobs(), useInlineJobs() or useRealJobs() first`);
}

function connectLast(): void {
  const mode = connected.at(-1);
  Job.connect(mode, mode?.equipment ?? {});
}

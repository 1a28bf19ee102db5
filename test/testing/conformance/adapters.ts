import { type TestDatabase, type TestJobs, useFakeJobs, useInlineJobs, useRealJobs } from '../../../lib/testing';
import { Note, setup } from './troupe';

export type AdapterName = 'fake' | 'inline' | 'real';

export interface Grounds {
  readonly database: TestDatabase;
  readonly redisUrl: string;
}

/** The adapters that are to behave alike. */
export const ADAPTERS: { readonly [N in AdapterName]: (grounds: Grounds) => Promise<TestJobs> } = {
  fake: () => useFakeJobs({ setup, models: [Note] }),
  inline: () => useInlineJobs({ setup, models: [Note] }),
  real: ({ database, redisUrl }) => useRealJobs({ database, redisUrl, setup, models: [Note], timeoutMs: 600_000 }),
};

type Run = () => Promise<unknown>;

/** Of an adapter that cannot be like the others: why, and what it does instead. */
export interface Difference {
  readonly because: string;
  readonly run: Run;
}

/** A case that all adapters answer alike, save where one differs by its nature. */
export function conforms(
  adapter: AdapterName,
  title: string,
  run: Run,
  differences: { readonly [N in AdapterName]?: Difference } = {},
): void {
  const difference = differences[adapter];
  if (difference) it(`${title} — but not here: ${difference.because}`, difference.run);
  else it(title, run);
}

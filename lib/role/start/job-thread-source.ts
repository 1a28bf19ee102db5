import path from 'node:path';
import type { Config } from '../../core/config';
import type { ThreadSource } from '../../job/perform/threads';

type ThreadConfig = Pick<Config, 'environment' | 'databaseSchema' | 'jobs'>;

/** What a thread of jobs is told, besides the identity of its processor. */
export interface ThreadData {
  /** The file whose default export is the manifest. */
  readonly manifest: string;
  readonly config: ThreadConfig;
  readonly databaseUrl: string;
}

export function threadSource(manifest: string, config: ThreadConfig, databaseUrl: string): ThreadSource {
  const { environment, databaseSchema, jobs } = config;
  const data: ThreadData = { manifest, config: { environment, databaseSchema, jobs }, databaseUrl };
  return { file: path.join(__dirname, 'job-thread-entry.cjs'), data };
}

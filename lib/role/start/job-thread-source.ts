import path from 'node:path';
import type { Config } from '../../core/config';
import type { ThreadSource } from '../../job/perform/threads';
import type { AppDefinition } from '../app/app-definition';

type ThreadConfig = Pick<Config, 'environment' | 'databaseSchema' | 'jobs'>;

/** What a thread of jobs is told, besides the identity of its processor. */
export interface ThreadData {
  /** The file whose default export is the manifest. */
  readonly manifest: string;
  readonly config: ThreadConfig;
  readonly databaseUrl: string;
}

/** @returns undefined if the manifest's file is not known. */
export function threadSource(app: AppDefinition, config: ThreadConfig, databaseUrl: string): ThreadSource | undefined {
  const { environment, databaseSchema, jobs } = config;
  // With source maps, the stack that `app.file` comes from names the source of a compiled file.
  const loaded = Object.values(require.cache).find((each) => each?.exports?.default === app);
  const manifest = loaded?.filename ?? app.file;
  if (manifest === undefined) return undefined;
  const data: ThreadData = { manifest, config: { environment, databaseSchema, jobs }, databaseUrl };
  return { file: path.join(__dirname, 'job-thread-entry.cjs'), data };
}

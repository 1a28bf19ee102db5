import fs from 'node:fs';
import path from 'node:path';
import { readTlsFiles } from '../../cluster/primary/tls-files';
import type { Config } from '../../core/config';
import { errorFinding, type Finding, noteFinding, warningFinding } from '../../core/finding';
import { BASE_MB, WORKER_MB } from '../../core/memory-plan';
import { postgresTls, redisTlsMode } from '../../core/tls';
import { pluralize } from '../../support/counted';
import { toError } from '../../support/to-error';
import { WITHOUT_REDIS } from '../app/own-settings';

/** A platform that reads a Procfile signals the process that it starts: a shell or npm may not pass the signals on. */
export function procfile({ root }: { readonly root: string }): Finding[] {
  const file = [root, process.cwd()].map((folder) => path.join(folder, 'Procfile')).find((each) => fs.existsSync(each));
  if (file === undefined) return [];
  const text = fs.readFileSync(file, 'utf8');
  const start = `node ${path.relative(path.dirname(file), process.argv[1] ?? 'server.js')}`;
  const isWrapped = /^(web|worker):\s*(npm|npx|yarn|pnpm)\b/m.test(text);
  const migrates = /^release:.*\bmigrate\b/m.test(text);
  const between = `${file}: a package manager stands between the platform and the tree`;
  const unmigrated = `${file}: nothing migrates before a release`;
  return [
    isWrapped ? errorFinding(between, `start node itself, as in ${start}.`, 'procfile_package_manager') : [],
    migrates ? [] : warningFinding(unmigrated, `add the line release: ${start} migrate`, 'procfile_no_release'),
  ].flat();
}

export function withoutRedis({ config }: { readonly config: Pick<Config, 'redisOff'> }): Finding[] {
  return config.redisOff ? [noteFinding('Redis is off', WITHOUT_REDIS)] : [];
}

/** Skips a tree without workers, and one that is started with `--only`, since its other half runs elsewhere. */
export function memory({ config: { memoryLimitMb, web, jobs } }: { readonly config: Config }): Finding[] {
  const planned = BASE_MB + web.concurrency * WORKER_MB;
  const isWhole = web.enabled && jobs.enabled && !web.inline;
  if (memoryLimitMb === null || !isWhole || planned <= memoryLimitMb) return [];
  const sums = `${BASE_MB} MB and ${pluralize(web.concurrency, 'worker')} of ${WORKER_MB} MB`;
  const text = `The tree is planned to use ${planned} MB (${sums}), and may use ${memoryLimitMb} MB`;
  return [warningFinding(text, 'lower WEB_CONCURRENCY, or set it to auto.')];
}

export function tlsFiles({ config: { tls } }: { readonly config: Pick<Config, 'tls'> }): Finding[] {
  try {
    if (tls) readTlsFiles(tls);
    return [];
  } catch (thrown) {
    return [errorFinding(toError(thrown).message)];
  }
}

export function uncheckedTls({ config }: { readonly config: Config }): Finding[] {
  const { environment, databaseUrl, redisUrl } = config;
  if (environment !== 'production') return [];
  const postgres = databaseUrl !== null && postgresTls(databaseUrl, true) === 'unchecked';
  const redis = redisUrl !== null && redisTlsMode(redisUrl) === 'unchecked';
  const add = 'add ?sslmode=verify-full to';
  const text = (store: string) => `${store}'s certificate is not checked`;
  return [
    postgres ? warningFinding(text('Postgres'), `${add} DATABASE_URL.`, 'postgres_unchecked_tls') : [],
    redis ? warningFinding(text('Redis'), `${add} its URL.`, 'redis_unchecked_tls') : [],
  ].flat();
}

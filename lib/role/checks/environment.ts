import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../core/config';
import { errorFinding, type Finding, noteFinding, warningFinding } from '../../core/finding';
import { BASE_MB, WORKER_MB } from '../../core/memory-plan';
import { postgresTls, redisTlsMode } from '../../core/tls';
import { toError } from '../../support/to-error';
import { WITHOUT_REDIS } from '../app/own-settings';

/** A platform that reads a Procfile signals the process that it starts: a shell or npm may not pass the signals on. */
export function procfile({ root }: { readonly root: string }): Finding[] {
  const file = [root, process.cwd()].map((folder) => path.join(folder, 'Procfile')).find((each) => fs.existsSync(each));
  if (file === undefined) return [];
  const text = fs.readFileSync(file, 'utf8');
  const start = `node ${path.relative(path.dirname(file), process.argv[1] ?? 'server.js')}`;
  const between = errorFinding(
    `${file}: a package manager stands between the platform and the tree`,
    `start node itself, as in ${start}.`,
  );
  const unmigrated = warningFinding(
    `${file}: nothing migrates before a release`,
    `add the line release: ${start} migrate`,
  );
  return [
    /^(web|worker):\s*(npm|npx|yarn|pnpm)\b/m.test(text) ? { ...between, id: 'procfile_package_manager' } : [],
    /^release:.*\bmigrate\b/m.test(text) ? [] : { ...unmigrated, id: 'procfile_no_release' },
  ].flat();
}

export function withoutRedis({ config }: { readonly config: Pick<Config, 'redisOff'> }): Finding[] {
  return config.redisOff ? [noteFinding('Redis is off', WITHOUT_REDIS)] : [];
}

/** Skips a tree that is started with `--only`, since its other half runs elsewhere. */
export function memory({ config: { memoryLimitMb, web, jobs } }: { readonly config: Config }): Finding[] {
  const planned = BASE_MB + web.concurrency * WORKER_MB;
  if (memoryLimitMb === null || !web.enabled || !jobs.enabled || planned <= memoryLimitMb) return [];
  const sums = `${BASE_MB} MB and ${web.concurrency} workers of ${WORKER_MB} MB`;
  const text = `The tree is planned to use ${planned} MB (${sums}), and may use ${memoryLimitMb} MB`;
  return [warningFinding(text, 'lower WEB_CONCURRENCY, or set it to auto.')];
}

export function uncheckedTls({ config }: { readonly config: Config }): Finding[] {
  const { environment, databaseUrl, redisUrl } = config;
  if (environment !== 'production') return [];
  const postgres = databaseUrl !== null && postgresTls(databaseUrl, true) === 'unchecked';
  const redis = redisUrl !== null && redisTlsMode(redisUrl) === 'unchecked';
  const add = 'add ?sslmode=verify-full to';
  return [
    postgres
      ? {
          ...warningFinding("Postgres's certificate is not checked", `${add} DATABASE_URL.`),
          id: 'postgres_unchecked_tls',
        }
      : [],
    redis
      ? { ...warningFinding("Redis's certificate is not checked", `${add} its URL.`), id: 'redis_unchecked_tls' }
      : [],
  ].flat();
}

/** Time within which the mail server must let us in, ms. */
const MAIL_MS = 10_000;

/** Connects to the mail server and signs in, without sending a mail. @param limitMs time limit. */
export async function mailServer(
  { delivery, smtpUrl }: Pick<Config['mail'], 'delivery' | 'smtpUrl'>,
  limitMs = MAIL_MS,
): Promise<Finding[]> {
  if (delivery !== 'smtp' || smtpUrl === null) return [];
  const { SmtpTransport } = await import('../../mailer/transport/smtp');
  const transport = new SmtpTransport(smtpUrl, { sendMs: limitMs });
  try {
    await transport.verify();
    return [];
  } catch (thrown) {
    const error = toError(thrown);
    const server = `The mail server at ${new URL(smtpUrl).host}`;
    return 'code' in error && error.code === 'EAUTH'
      ? [{ ...errorFinding(`${server} rejects the login (${error.message})`, LOGIN_REMEDY), id: 'smtp_login' }]
      : [{ ...errorFinding(`${server} cannot be used (${error.message})`, REACH_REMEDY), id: 'smtp_unreachable' }];
  } finally {
    await transport.close({ force: true });
  }
}

const LOGIN_REMEDY = 'correct the user and password in SMTP_URL.';
const REACH_REMEDY =
  'start it, correct host and port in SMTP_URL, or allow connections to it. Until then mails wait and are retried.';

import path from 'node:path';
import { type Config, inlineParts, version } from '../../core/config';
import { isProvider } from '../../core/mail-settings';
import { redisPlace } from '../../core/redis-url';
import { postgresTls, redisTlsMode, smtpTlsWords, type TlsMode, tlsWords } from '../../core/tls';
import { pluralize } from '../../support/counted';

/** Describes what is about to start, one line each, in the form of Puma's banner. */
export function banner(name: string, config: Config): string[] {
  const { web, jobs, mail } = config;
  const inline = inlineParts(config);
  const mode = !web.enabled ? 'jobs only' : inline.web ? 'single mode' : 'cluster mode';
  const lines = [`Catamount ${version()} starts the app ${name}: ${mode}, ${config.environment}`];
  lines.push(`* Node.js: ${process.version}, pid ${process.pid}`);
  if (web.enabled) {
    const workers = inline.web ? 'in this process' : pluralize(web.concurrency, 'worker');
    lines.push(`* Web:     ${workers} × ${pluralize(web.maxThreads, 'thread')}, up to ${web.backlog} waiting each`);
  }
  if (jobs.enabled) {
    const order = jobs.weighted ? 'weighted' : 'strict order';
    const queues = jobs.queues.map(({ name, weight }) => (jobs.weighted ? `${name}:${weight}` : name)).join(', ');
    lines.push(
      `* Jobs:    ${inline.jobs ? 'in this process' : '1 processor'} × ${jobs.concurrency}, queues ${queues} (${order})`,
    );
  }
  lines.push(`* Mail:    ${mailGoes(mail)}`);
  const { databaseUrl, redisUrl, redisOff } = config;
  const postgres = databaseUrl && postgresTls(databaseUrl, config.environment === 'production');
  const redis = redisUrl && redisTlsMode(redisUrl);
  lines.push(`* Data:    Postgres ${from(databaseUrl, postgres)}, Redis ${redisOff ? 'off' : from(redisUrl, redis)}`);
  return lines;
}

/**
 * URLs to open in a browser on this machine once the tree listens; a wildcard address becomes `localhost`. Empty for a
 * Unix socket, and in production, where nobody sits at the machine.
 */
export function pagesAt(
  address: string,
  { environment, mail, opsToken }: Pick<Config, 'environment' | 'mail' | 'opsToken'>,
): string[] {
  if (environment === 'production' || !URL.canParse(address) || !address.startsWith('http')) return [];
  const url = new URL(address);
  if (['0.0.0.0', '[::]'].includes(url.hostname)) url.hostname = 'localhost';
  const ops = ['/ops', ...(mail.delivery === 'file' ? ['/ops/mail/inbox'] : [])];
  const query = opsToken === null ? '' : `?token=${opsToken}`;
  return ['/', ...ops.map((path) => path + query)].map((each) => new URL(each, url).href);
}

function mailGoes({ delivery, smtpUrl, dir, apiUrl }: Config['mail']): string {
  if (delivery === 'smtp' && smtpUrl !== null) return `by SMTP to ${new URL(smtpUrl).host}${smtpTlsWords(smtpUrl)}`;
  if (delivery === 'file') return `as .eml files into ${path.relative(process.cwd(), dir) || dir}`;
  if (delivery === 'log') return 'into the log only';
  if (delivery === 'test') return 'nowhere (test)';
  return apiUrl && isProvider(delivery) ? `by ${delivery} at ${new URL(apiUrl).host}` : `by ${delivery}`;
}

function from(url: string | null, mode: TlsMode | null | ''): string {
  return url && mode ? `at ${redisPlace(url)}${tlsWords(url, mode)}` : 'embedded';
}

import path from 'node:path';
import createKnex, { type Knex } from 'knex';
import { Events } from '../../../lib/core/events';
import { Redis } from '../../../lib/core/redis';
import { JobAdmin } from '../../../lib/job/admin/job-admin';
import { Deadline } from '../../../lib/support/deadline';
import { listProcesses } from '../../../lib/tree/processors';
import { MailLedger } from '../../process/mail-ledger';
import { buildFixtureApp } from '../../support/fixture-app';
import { UNLIMITED } from '../../support/sign-up-limits';
import { SmtpProxy } from '../../support/smtp-proxy';
import { TcpProxy } from '../../support/tcp-proxy';
import { tempFolder } from '../../support/temp-folder';
import { until } from '../../support/until';
import { JobLedger, Ledger } from '../ledger';
import { Traffic } from '../traffic';
import { Clock } from './clock';
import { Platform } from './platform';
import { ChaosPostgres } from './postgres';
import { RedisPair } from './redis-pair';

/** An event that explains later observations. Times as `performance.now()`. */
export interface Incident {
  readonly kind: 'processor died' | 'answer of SMTP lost';
  readonly at: number;
}

/** A tree in production with real servers of its own, and clients that use it. */
export class Environment {
  readonly incidents: Incident[] = [];

  private constructor(
    readonly postgres: ChaosPostgres,
    /** The network between the tree and Postgres. */
    readonly postgresNetwork: TcpProxy,
    readonly redis: RedisPair,
    readonly mails: MailLedger,
    /** The proxy between the tree and the mail server. */
    readonly smtp: SmtpProxy,
    readonly clock: Clock,
    readonly platform: Platform,
    readonly ledger: Ledger,
    readonly jobLedger: JobLedger,
    readonly traffic: Traffic,
  ) {}

  static async start(): Promise<Environment> {
    const folder = tempFolder('chaos');
    const entry = await buildFixtureApp('chaos-app');
    const postgres = await ChaosPostgres.make();
    const [network, redis, mails] = await Promise.all([
      TcpProxy.start(postgres.urlBy(postgres.port)),
      RedisPair.start(),
      MailLedger.start(),
    ]);
    const smtp = await SmtpProxy.start(mails.url);
    const jobLedger = new JobLedger(path.join(folder, 'job-ledger'));
    const clock = new Clock(path.join(folder, 'clock'));
    const env = {
      NODE_ENV: 'production',
      DATABASE_URL: network.url,
      REDIS_URL: redis.url,
      SMTP_URL: smtp.url,
      APP_URL: 'https://chaos.example',
      // Mails run after all other jobs: with two slots they would wait too long on a busy machine.
      JOB_CONCURRENCY: '5',
      WEB_BACKLOG: '64',
      WEB_QUEUE_TIMEOUT: '3s',
      // This is longer than the freeze faults suspend a process, so that a frozen one is not killed.
      WORKER_TIMEOUT: '10s',
      LOG_LEVEL: 'warn',
      JOB_THREADS: '1',
      JOB_ENCRYPTION_KEYS: `chaos:${Buffer.alloc(32, 'chaos').toString('base64')}`,
      CHAOS_RECORD: jobLedger.file,
      ...UNLIMITED,
      ...clock.env,
    };
    const platform = await Platform.start({ entry, env });
    const ledger = new Ledger();
    const traffic = new Traffic(platform.baseUrl, ledger);
    return new Environment(postgres, network, redis, mails, smtp, clock, platform, ledger, jobLedger, traffic);
  }

  note(kind: Incident['kind']): void {
    this.incidents.push({ kind, at: performance.now() });
  }

  async remove(): Promise<void> {
    await this.platform.cleanup();
    await Promise.all([this.postgresNetwork.down(), this.redis.stop(), this.smtp.network.down()]);
    await Promise.all([this.mails.stop(), this.postgres.remove()]);
  }
}

export const QUEUES = ['default', 'mailer'] as const;

/** The same tools as an operator has: the pages and `catamount jobs` are built on them. */
export interface Operator {
  readonly admin: JobAdmin;
  readonly knex: Knex;
}

/** The servers that the operator needs, without the proxies between them and the tree. */
export type StoresOfScene = Pick<Environment, 'postgres' | 'redis'>;

/** Connects to the stores directly instead of through the networks that faults break. */
export async function asOperator<T>(
  { postgres, redis }: StoresOfScene,
  work: (operator: Operator) => Promise<T>,
): Promise<T> {
  const knex = createKnex({ client: 'pg', connection: postgres.urlBy(postgres.port), pool: { min: 0, max: 2 } });
  const connection = new Redis(redis.current.url, new Events());
  await connection.start();
  await until('Redis is connected', () => connection.client.isReady, { timeoutMs: 30_000 });
  const events = new Events();
  const processes = () => listProcesses(connection.client);
  const sources = { processes, knex, events, queues: QUEUES, via: 'cli:chaos' as const };
  try {
    return await work({ admin: new JobAdmin(sources), knex });
  } finally {
    await connection.stop(Deadline.after(1000));
    await knex.destroy();
  }
}

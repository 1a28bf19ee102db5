import path from 'node:path';
import { MailLedger } from '../../process/mail-ledger';
import { buildFixtureApp } from '../../support/fixture-app';
import { SmtpProxy } from '../../support/smtp-proxy';
import { tempFolder } from '../../support/temp-folder';
import { Book } from '../ledger/book';
import { Ledger } from '../ledger/ledger';
import { Traffic } from '../traffic/traffic';
import { ChaosPostgres } from './chaos-postgres';
import { Clock } from './clock';
import { Platform } from './platform';
import { RedisPair } from './redis-pair';
import { TcpSwitch } from './tcp-switch';

/** Something that explains what is seen later. Times as `performance.now()`. */
export interface Incident {
  readonly kind: 'processor died' | 'redis lost data' | 'answer of SMTP lost' | 'postgres away';
  readonly at: number;
}

/** All there is: a tree in production with everything it needs, real and our own, and people who use it. */
export class Scene {
  readonly incidents: Incident[] = [];

  private constructor(
    readonly postgres: ChaosPostgres,
    /** The way from the tree to Postgres. */
    readonly postgresNetwork: TcpSwitch,
    readonly redis: RedisPair,
    readonly mails: MailLedger,
    /** The way from the tree to the mail server. */
    readonly smtp: SmtpProxy,
    readonly clock: Clock,
    readonly platform: Platform,
    readonly ledger: Ledger,
    readonly book: Book,
    readonly traffic: Traffic,
  ) {}

  static async make(): Promise<Scene> {
    const folder = tempFolder('chaos');
    const entry = await buildFixtureApp('chaos-app');
    const postgres = await ChaosPostgres.make();
    const [network, redis, mails] = await Promise.all([
      TcpSwitch.start(postgres.port),
      RedisPair.start(),
      MailLedger.start(),
    ]);
    const smtp = await SmtpProxy.start(Number(new URL(mails.url).port));
    const book = new Book(path.join(folder, 'book'));
    const clock = new Clock(path.join(folder, 'clock'));
    const env = {
      NODE_ENV: 'production',
      DATABASE_URL: postgres.urlBy(network.port),
      REDIS_URL: redis.url,
      SMTP_URL: smtp.url,
      APP_URL: 'https://chaos.example',
      // Mails come after all other jobs: with two slots they would wait for long on a machine that is busy.
      JOB_CONCURRENCY: '5',
      WEB_BACKLOG: '64',
      WEB_QUEUE_TIMEOUT: '3s',
      // Longer than what is frozen for some seconds.
      WORKER_TIMEOUT: '10s',
      LOG_LEVEL: 'warn',
      CHAOS_BOOK: book.file,
      ...clock.env,
    };
    const platform = await Platform.start({ entry, env });
    const ledger = new Ledger();
    const traffic = new Traffic(platform.baseUrl, ledger);
    return new Scene(postgres, network, redis, mails, smtp, clock, platform, ledger, book, traffic);
  }

  note(kind: Incident['kind']): void {
    this.incidents.push({ kind, at: performance.now() });
  }

  async remove(): Promise<void> {
    await this.platform.cleanup();
    await Promise.all([this.postgresNetwork.stop(), this.redis.stop(), this.smtp.down()]);
    await Promise.all([this.mails.stop(), this.postgres.remove()]);
  }
}

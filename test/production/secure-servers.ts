import { startTestRedis, type TestRedis } from '../support/redis';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { type Certificate, makeCertificate } from './certificates';
import { SslPostgres } from './ssl-postgres';
import { TlsProxy } from './tls-proxy';

/** What a platform hands out: Postgres and Redis that take TLS only, with certificates that no system trusts. */
export class SecureServers {
  private constructor(
    readonly certificate: Certificate,
    readonly postgres: SslPostgres,
    /** Behind its TLS; for looking. */
    readonly redis: TestRedis,
    private readonly redisTls: TlsProxy,
    readonly mail: SmtpSink,
  ) {}

  static async start(): Promise<SecureServers> {
    const certificate = await makeCertificate();
    const postgres = await SslPostgres.start(certificate);
    const redis = await startTestRedis();
    const redisTls = await new TlsProxy(certificate, redis.port).start();
    const mail = await startSmtpSink({ tls: { kind: 'implicit', ...certificate } });
    return new SecureServers(certificate, postgres, redis, redisTls, mail);
  }

  get redisUrl(): string {
    return `rediss://127.0.0.1:${this.redisTls.port}`;
  }

  /** An environment in production, but for the databases' addresses. */
  get env() {
    return {
      NODE_ENV: 'production',
      WEB_CONCURRENCY: '1',
      APP_URL: 'https://shop.example',
      SMTP_URL: `${this.mail.url}?tls.rejectUnauthorized=false`,
    };
  }

  /** Processes must have let go of them before. */
  async stop(): Promise<void> {
    await this.mail.stop();
    await this.redisTls.stop();
    await this.redis.remove();
    await this.postgres.stop();
  }
}

import { startTestRedis, type TestRedis } from '../support/redis';
import { type SmtpSink, startSmtpSink } from '../support/smtp';
import { TcpProxy } from '../support/tcp-proxy';
import { type Certificate, makeCertificate } from './certificates';
import { SslPostgres } from './ssl-postgres';

/** Servers as a platform provides them: Postgres and Redis that require TLS, with certificates that no system trusts. */
export class SecureServers {
  private constructor(
    readonly certificate: Certificate,
    readonly postgres: SslPostgres,
    /** The Redis itself, without TLS, for checks. */
    readonly redis: TestRedis,
    private readonly redisTls: TcpProxy,
    readonly redisUrl: string,
    readonly mail: SmtpSink,
  ) {}

  static async start(): Promise<SecureServers> {
    const certificate = await makeCertificate();
    const postgres = await SslPostgres.start(certificate);
    const redis = await startTestRedis();
    const { chain: cert, key } = certificate;
    const redisTls = await TcpProxy.start(redis.url, { certificate: { cert, key } });
    const redisUrl = `rediss://127.0.0.1:${redisTls.port}`;
    const mail = await startSmtpSink({ tls: { kind: 'implicit', ...certificate } });
    return new SecureServers(certificate, postgres, redis, redisTls, redisUrl, mail);
  }

  /** A production environment without the URLs of Postgres and Redis. */
  get env() {
    return {
      NODE_ENV: 'production',
      WEB_CONCURRENCY: '1',
      APP_URL: 'https://shop.example',
      SMTP_URL: `${this.mail.url}?tls.rejectUnauthorized=false`,
    };
  }

  /** Stops the servers. Processes must have closed their connections before. */
  async stop(): Promise<void> {
    await this.mail.stop();
    await this.redisTls.down();
    await this.redis.remove();
    await this.postgres.stop();
  }
}

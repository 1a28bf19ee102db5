import { randomBytes, X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import tls from 'node:tls';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import type { Credentials } from '../../core/tls';
import { PeriodicTask } from '../../support/periodic-task';
import { toError } from '../../support/to-error';

/** Interval at which the files are looked at, ms. */
const LOOK_MS = 1000;

/**
 * The certificate and key of TLS_CERT and TLS_KEY, and the authorities of TLS_CLIENT_CA. The primary reads them and sends them to
 * the workers, so that a worker can start although somebody has broken the files meanwhile.
 */
export class TlsFiles {
  /** The latest that fit each other. */
  credentials: Credentials;
  readonly task: PeriodicTask;
  /** What the files looked like when they were read last, and when they were looked at last. */
  private read: string;
  private seen: string;
  /**
   * All workers share them, so that a client can resume its session at any of them. Other authorities have other keys: the
   * certificate of a client that resumes a session is not checked again.
   */
  private ticketKeys = makeTicketKeys();

  /**
   * @param onRenewed called with each new pair.
   * @throws UserError when the files cannot be used.
   */
  constructor(
    private readonly files: NonNullable<Config['tls']>,
    private readonly events: Events,
    private readonly onRenewed: (credentials: Credentials) => void,
    everyMs = LOOK_MS,
  ) {
    this.read = this.look();
    this.seen = this.read;
    try {
      this.credentials = this.load();
    } catch (thrown) {
      throw new UserError(`Catamount cannot start: ${toError(thrown).message}`, EXIT.config);
    }
    this.task = new PeriodicTask({
      everyMs,
      work: async () => this.check(),
      onError: (error) =>
        events.emit('process.error', { error, during: 'looking at the files of TLS_CERT, TLS_KEY and TLS_CLIENT_CA' }),
    });
  }

  /** Reads the files once two looks have found the same: whoever renews them writes one after the other. */
  private check(): undefined {
    const now = this.look();
    const isSettled = now === this.seen;
    this.seen = now;
    if (!isSettled || now === this.read) return;
    this.read = now;
    try {
      this.credentials = this.load();
    } catch (thrown) {
      this.events.emit('tls.kept', { reason: toError(thrown).message });
      return;
    }
    this.onRenewed(this.credentials);
  }

  /** Follows links, which Kubernetes and certbot exchange. */
  private look(): string {
    const { cert, key, clients } = this.files;
    const stats = [cert, key, ...(clients ? [clients.ca] : [])].map((file) =>
      fs.statSync(file, { bigint: true, throwIfNoEntry: false }),
    );
    return stats.map((each) => `${each?.ino} ${each?.size} ${each?.mtimeNs}`).join();
  }

  private load(): Credentials {
    const { certificate, ...read } = readTlsFiles(this.files);
    const { subjectAltName, subject, validTo } = certificate;
    const isOver = Date.parse(validTo) < Date.now();
    this.events.emit('tls.loaded', { names: subjectAltName ?? subject, validTo, isOver });
    if (this.credentials && read.clients?.ca !== this.credentials.clients?.ca) this.ticketKeys = makeTicketKeys();
    return { ...read, ticketKeys: this.ticketKeys };
  }
}

type FilesRead = Omit<Credentials, 'ticketKeys'> & { readonly certificate: X509Certificate };

/** @throws Error that names the file which cannot be used. */
export function readTlsFiles(files: NonNullable<Config['tls']>): FilesRead {
  const clients = files.clients && { ...files.clients, ca: readAuthorities(files.clients.ca) };
  const cert = readPem('TLS_CERT', files.cert);
  const key = readPem('TLS_KEY', files.key);
  try {
    tls.createSecureContext({ cert, key });
    return { cert, key, certificate: new X509Certificate(cert), ...(clients && { clients }) };
  } catch (thrown) {
    const why = `the files of TLS_CERT (${files.cert}) and TLS_KEY are no certificate and its key in PEM`;
    throw new Error(`${why}: ${toError(thrown).message}.`);
  }
}

const makeTicketKeys = () => randomBytes(48).toString('base64');

/** @returns the certificates of a file, each on lines of its own. OpenSSL would pass over what is none. */
function readAuthorities(file: string): string {
  const text = readPem('TLS_CLIENT_CA', file);
  const blocks = text.match(/-----BEGIN CERTIFICATE.+?(?:-----END CERTIFICATE-----|$)/gs) ?? [text];
  try {
    for (const block of blocks) new X509Certificate(block);
  } catch (thrown) {
    throw new Error(`the file of TLS_CLIENT_CA (${file}) has no certificates in PEM: ${toError(thrown).message}.`);
  }
  return blocks.join('\n');
}

function readPem(variable: string, file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (thrown) {
    throw new Error(`the file of ${variable} cannot be read: ${toError(thrown).message}.`);
  }
}

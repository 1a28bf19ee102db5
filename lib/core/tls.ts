/** The settings of each server that turn off the check of its certificate, or TLS altogether. */
const WORDS = {
  Postgres: {
    unchecked: 'use ?sslmode=require in DATABASE_URL',
    plain: 'use ?sslmode=disable in DATABASE_URL',
  },
  Redis: {
    unchecked: 'use ?sslmode=require in the Redis URL',
    plain: 'begin the Redis URL with redis:// instead of rediss://',
  },
  SMTP: {
    unchecked: 'append ?tls.rejectUnauthorized=false to SMTP_URL',
    plain: 'use smtp:// instead of smtps:// in SMTP_URL',
  },
} as const;

type Server = keyof typeof WORDS;

/** Advice by error message, since the clients drop the codes of errors. */
const ADVICE: readonly (readonly [RegExp, (server: Server) => string])[] = [
  [
    /self-signed certificate|unable to (verify the first|get (local )?issuer) certificate/,
    (server) =>
      'Node does not know who signed it; name the file of that authority in NODE_EXTRA_CA_CERTS, ' +
      `or ${WORDS[server].unchecked} to encrypt without a check`,
  ],
  [
    /does not match certificate's altnames/,
    (server) => `use a host name that the certificate has, or ${WORDS[server].unchecked} to encrypt without a check`,
  ],
  [/certificate has expired/, (server) => `have it renewed, or ${WORDS[server].unchecked} to encrypt without a check`],
  [
    /wrong version number|packet length too long|does not support SSL/,
    (server) => `it does not speak TLS on that port; ${WORDS[server].plain}`,
  ],
  [/no encryption$|SSL off$/, () => 'it insists on TLS; use ?sslmode=require in DATABASE_URL'],
];

/** @returns true when a server was not reached because of TLS. */
export function isTlsFailure(error: Error): boolean {
  return ADVICE.some(([pattern]) => pattern.test(error.message.trim().replace(/: .*$/, '')));
}

export function withTlsAdvice(error: Error, server: Server): Error {
  const found = ADVICE.find(([pattern]) => pattern.test(error.message.trim()));
  if (!found) return error;
  const [, advise] = found;
  return new Error(`${error.message.trim()}: ${advise(server)}`, { cause: error });
}

export type TlsMode = 'off' | 'unchecked' | 'checked';

/**
 * @returns the mode of a connection to Postgres, by `sslmode` with libpq's meaning. `require` encrypts without checking the
 * certificate; `verify-ca` and `verify-full` check it; `disable`, `allow` and `prefer` use no TLS. Default: checked in
 * production, except on this machine; no TLS elsewhere.
 */
export function postgresTls(url: string, production: boolean): TlsMode {
  const { searchParams, hostname } = new URL(url);
  const mode = searchParams.get('sslmode') ?? (production && !isThisMachine(hostname) ? 'verify-full' : 'disable');
  if (mode === 'disable' || mode === 'allow' || mode === 'prefer') return 'off';
  return mode.startsWith('verify') ? 'checked' : 'unchecked';
}

/**
 * @returns the mode of a connection to Redis: rediss:// is TLS, checked unless `?sslmode=` is `require` or `no-verify`.
 */
export function redisTlsMode(url: string): TlsMode {
  const { protocol, searchParams } = new URL(url);
  if (!protocol.startsWith('rediss')) return 'off';
  return ['require', 'no-verify'].includes(searchParams.get('sslmode') ?? '') ? 'unchecked' : 'checked';
}

/** @returns true when SMTP must use STARTTLS although its URL does not say so, since a password leaves this machine. */
export function mustUpgrade(url: string): boolean {
  const { protocol, username, hostname, searchParams } = new URL(url);
  return protocol === 'smtp:' && username !== '' && !isThisMachine(hostname) && !searchParams.has('requireTLS');
}

/** @returns true for this machine's host names and addresses, and for socket files. */
export function isThisMachine(hostname: string): boolean {
  return (
    hostname === '' ||
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    hostname.startsWith('127.') ||
    hostname.startsWith('%2F')
  );
}

/** @returns a note for the banner about a connection to Postgres or Redis; '' for one to this machine without TLS. */
export function tlsWords(url: string, mode: TlsMode): string {
  if (mode === 'off') return isThisMachine(new URL(url).hostname) ? '' : ' (no TLS)';
  const unchecked = 'certificate not checked: ?sslmode=verify-full checks it';
  return ` (TLS, ${mode === 'checked' ? 'certificate checked' : unchecked})`;
}

/** @returns the same note for SMTP, by nodemailer's options in its URL. */
export function smtpTlsWords(url: string): string {
  const { protocol, hostname, searchParams } = new URL(url);
  const is = (option: string, value: string) => searchParams.get(option) === value;
  if (is('ignoreTLS', 'true')) return isThisMachine(hostname) ? '' : ' (no TLS)';
  const insists = mustUpgrade(url) || is('requireTLS', 'true');
  const how = protocol === 'smtps:' ? 'TLS' : insists ? 'STARTTLS' : 'STARTTLS where the server offers it';
  const unchecked = is('tls.rejectUnauthorized', 'false');
  return ` (${how}, certificate ${unchecked ? 'not checked: SMTP_URL has tls.rejectUnauthorized=false' : 'checked'})`;
}

/** What a server of TLS needs. It is secret. */
export interface Credentials {
  /** The certificate chain, PEM. */
  readonly cert: string;
  /** The private key, PEM. */
  readonly key: string;
  /** The keys of session tickets, base64. */
  readonly ticketKeys: string;
  /** Certificates that clients show. Default: none is asked for. */
  readonly clients?: {
    /** The certificates of the authorities that sign them, PEM. */
    readonly ca: string;
    /** true: a client without one is refused. */
    readonly isRequired: boolean;
  };
}

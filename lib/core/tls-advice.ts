/** How the settings of each server say it. */
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
    unchecked: 'put ?tls.rejectUnauthorized=false behind SMTP_URL',
    plain: 'use smtp:// instead of smtps:// in SMTP_URL',
  },
} as const;

type Server = keyof typeof WORDS;

/** By message: on their way through the clients errors lose their codes. */
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
    (server) => `it speaks no TLS on that port; ${WORDS[server].plain}`,
  ],
  [/no encryption$|SSL off$/, () => 'it insists on TLS; use ?sslmode=require in DATABASE_URL'],
];

/** Whether a server was not reached because of TLS. */
export function isTlsFailure(error: Error): boolean {
  return ADVICE.some(([pattern]) => pattern.test(error.message.trim().replace(/: .*$/, '')));
}

/** The error, and what to do about it when TLS is why a server was not reached. */
export function withTlsAdvice(error: Error, server: Server): Error {
  const found = ADVICE.find(([pattern]) => pattern.test(error.message.trim()));
  if (!found) return error;
  const [, advise] = found;
  return new Error(`${error.message.trim()}: ${advise(server)}`, { cause: error });
}

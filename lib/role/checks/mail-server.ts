import type { Config } from '../../core/config';
import { errorFinding, type Finding } from '../../core/finding';
import { toError } from '../../support/to-error';

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
      ? [errorFinding(`${server} rejects the login (${error.message})`, LOGIN_REMEDY, 'smtp_login')]
      : [errorFinding(`${server} cannot be used (${error.message})`, REACH_REMEDY, 'smtp_unreachable')];
  } finally {
    await transport.close({ force: true });
  }
}

const LOGIN_REMEDY = 'correct the user and password in SMTP_URL.';
const REACH_REMEDY =
  'start it, correct host and port in SMTP_URL, or allow connections to it. Until then mails wait and are retried.';

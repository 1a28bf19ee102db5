import type { Config } from '../../core/config';
import { errorFinding, type Finding } from '../../core/finding';
import { isProvider } from '../../core/mail-settings';
import { toError } from '../../support/to-error';

type ServerConfig = Pick<Config['mail'], 'delivery' | 'smtpUrl' | 'keys' | 'apiUrl'>;
/** Time within which the mail server must let us in, ms. */
const MAIL_MS = 10_000;

/** Asks the mail server, or the provider, whether it would let us send, without sending a mail. @param limitMs time limit. */
export async function mailServer(mail: ServerConfig, limitMs = MAIL_MS): Promise<Finding[]> {
  const { delivery, smtpUrl } = mail;
  if (delivery !== 'smtp' && delivery !== 'sendmail' && !isProvider(delivery)) return [];
  const { openServer } = await import('../../mailer/transport/open-transport');
  const transport = openServer(mail, limitMs);
  try {
    await transport.verify?.();
    return [];
  } catch (thrown) {
    const error = toError(thrown);
    if (delivery !== 'smtp') {
      return [errorFinding(`Mails cannot be sent by ${delivery} (${error.message})`, WAITING, `${delivery}_unusable`)];
    }
    const server = `The mail server at ${new URL(smtpUrl as string).host}`;
    return 'code' in error && error.code === 'EAUTH'
      ? [errorFinding(`${server} rejects the login (${error.message})`, LOGIN_REMEDY, 'smtp_login')]
      : [errorFinding(`${server} cannot be used (${error.message})`, REACH_REMEDY, 'smtp_unreachable')];
  } finally {
    await transport.close?.({ force: true });
  }
}

const LOGIN_REMEDY = 'correct the user and password in SMTP_URL.';
const WAITING = 'until that is mended, mails wait and are retried.';
const REACH_REMEDY =
  'start it, correct host and port in SMTP_URL, or allow connections to it. Until then mails wait and are retried.';

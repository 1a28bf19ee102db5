import SMTPConnection from 'nodemailer/lib/smtp-connection';
import { toError } from '../../core/errors';
import { PermanentDeliveryError } from '../errors';

/** Of addresses that a server would have to understand, in RFC 6531's name: "non-ASCII addresses not permitted". */
const NOT_PERMITTED = 553;

/** Those whose part before the @ is not ASCII. (A domain that is not goes as punycode, which every server takes.) */
export function needingUtf8(addresses: readonly string[]): string[] {
  return addresses.filter((address) => !/^\p{ASCII}*@[^@]*$/u.test(address));
}

/**
 * Asks the server, on a connection of its own, whether it takes such addresses: nodemailer would send them raw to one that does
 * not, which is then free to make of them what it likes.
 * @throws PermanentDeliveryError when it does not; Error when it cannot be asked.
 */
export async function insistOnUtf8(addresses: readonly string[], options: SMTPConnection.Options): Promise<void> {
  const greeting = await ehloAnswer(options);
  // Whoever knows no EHLO knows no extension either.
  if (/^250[ -]SMTPUTF8\b/im.test(greeting)) return;
  const answer = `the server does not offer SMTPUTF8, without which it cannot be told of ${addresses.join(', ')}`;
  throw new PermanentDeliveryError(`${NOT_PERMITTED} 5.6.7 ${answer}`, NOT_PERMITTED, undefined);
}

function ehloAnswer(options: SMTPConnection.Options): Promise<string> {
  const connection = new SMTPConnection(options);
  return new Promise<string>((resolve, reject) => {
    connection.once('error', (error: unknown) => reject(toError(error)));
    connection.once('end', () =>
      reject(new Error('the SMTP server closed the connection before its greeting was over')),
    );
    connection.connect((error) => {
      if (error) reject(toError(error));
      else resolve(String(connection.lastServerResponse));
    });
  }).finally(() => {
    connection.on('error', () => undefined);
    connection.quit();
  });
}

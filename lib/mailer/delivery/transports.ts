import type { Config } from '../../core/config';
import type { Events } from '../../core/events';
import { settingsOf, staysHere } from '../../core/mail-settings';
import { toError } from '../../support/to-error';
import type { DeliveryMethod } from '../definition/delivery-method';
import { InvalidMailError } from '../definition/errors';
import type { DeliveryOptions } from '../definition/mail-types';
import type { MailSetup } from '../definition/setup';
import { openTransport, unknownMethod } from '../transport/open-transport';
import { digestOfArguments } from './argument-digest';

/** Number of methods with options that are kept open. Beyond it, the one that was used longest ago is closed. */
const MAX_OPEN = 50;

/** The methods that the mails of a process go by. Each is opened for the first mail that needs it. */
export class Transports {
  private readonly chosen = new Map<string, DeliveryMethod>();
  private readonly takesAll: boolean;

  /** @param usual sends every mail, whatever that asks for. Default: what MAIL_DELIVERY names, for mails that ask for nothing. */
  constructor(
    private readonly mail: Config['mail'],
    private readonly events: Events,
    private readonly own: NonNullable<MailSetup['deliveryMethods']> = {},
    private usual?: DeliveryMethod,
  ) {
    this.takesAll = usual !== undefined || staysHere(mail.delivery);
  }

  /**
   * @param asked what a mail asks for. It is checked even where it has no effect, to find mistakes before production.
   * @throws InvalidMailError for a method or an option that does not exist; Error without the settings that a method needs.
   */
  for(asked: DeliveryOptions | undefined): DeliveryMethod {
    const { method = this.mail.delivery, options: all = {} } = Object(asked) as DeliveryOptions;
    const isObject = (value: unknown) => typeof value === 'object' && value !== null;
    if (!isObject(asked ?? {}) || !isObject(all) || typeof method !== 'string')
      throw new InvalidMailError("delivery: give an object such as { method: 'smtp', options: { SMTP_URL: '…' } }");
    const options = Object.fromEntries(
      Object.entries(all).filter(([, value]) => value !== undefined && value !== null),
    );
    const mail = asked ? replaceSettings(this.mail, method, options, this.own) : this.mail;
    const isUsual = method === this.mail.delivery && Object.keys(options).length === 0;
    if (this.takesAll || isUsual) {
      this.usual ??= openTransport(this.mail, this.events, this.own);
      return this.usual;
    }
    const key = digestOfArguments([method, options], {});
    const transport = this.chosen.get(key) ?? openTransport(mail, this.events, this.own, options);
    this.chosen.delete(key);
    this.chosen.set(key, transport);
    const [oldest] = this.chosen;
    if (oldest && this.chosen.size > MAX_OPEN) {
      this.chosen.delete(oldest[0]);
      void this.retire(oldest[1]);
    }
    return transport;
  }

  /** Lets its mails in flight finish. */
  private async retire(transport: DeliveryMethod): Promise<void> {
    try {
      await transport.close?.({ force: false });
    } catch (thrown) {
      this.events.emit('process.error', { error: toError(thrown), during: 'closing a delivery method' });
    }
  }

  /** @param force true: mails in flight are cut off, too. */
  async close(force: boolean): Promise<void> {
    const open = [...this.chosen.values(), ...(this.usual ? [this.usual] : [])];
    await Promise.all(open.map((transport) => transport.close?.({ force })));
  }
}

/**
 * The settings of a tree with those that a mail replaces.
 * @throws InvalidMailError for a method or an option that does not exist.
 */
export function replaceSettings(
  mail: Config['mail'],
  method: string,
  options: Readonly<Record<string, unknown>>,
  own: NonNullable<MailSetup['deliveryMethods']> = {},
): Config['mail'] {
  const mistake = unknownMethod(method, own, 'delivery: method');
  if (mistake !== undefined) throw new InvalidMailError(mistake);
  if (Object.hasOwn(own, method)) return { ...mail, delivery: method };
  const kinds = settingsOf(method);
  const names = [...kinds.keys()].join(', ') || 'none';
  for (const [name, value] of Object.entries(options)) {
    const kind = kinds.get(name);
    if (!kind) throw new InvalidMailError(`delivery: ${method} has no option ${name}; its options are ${names}`);
    // The value may be a secret.
    if (typeof value !== 'string' || kind.parse(value) === undefined)
      throw new InvalidMailError(`delivery: the option ${name} must be ${kind.allowed}`);
  }
  const { SMTP_URL = mail.smtpUrl, MAIL_API_URL, ...keys } = options as Readonly<Record<string, string | undefined>>;
  // Another provider must not see a key, and the token of a session belongs to its own key.
  const usualUrl = method === mail.delivery ? (mail.apiUrl ?? null) : null;
  const token = keys.AWS_ACCESS_KEY_ID === undefined ? {} : { AWS_SESSION_TOKEN: undefined };
  return {
    ...mail,
    delivery: method,
    smtpUrl: SMTP_URL,
    apiUrl: MAIL_API_URL ?? usualUrl,
    keys: { ...mail.keys, ...token, ...keys },
  };
}

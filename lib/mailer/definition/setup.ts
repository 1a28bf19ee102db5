import { checkSetup, isArrayOf, isFunction, type SetupParts } from '../../core/errors';
import type { Addresses, OutgoingMessage, Receipt, Render } from './mail-types';

/** Which mail it is. */
export interface MailOrigin {
  /** Class of the mailer, such as `UserMailer`. */
  readonly mailer: string;
  readonly action: string;
}

type AddressField = 'from' | 'to' | 'cc' | 'bcc' | 'replyTo';

/** A message as an interceptor gives it back: its addresses may be written in any form. */
export type InterceptedMessage = Omit<OutgoingMessage, AddressField> & { readonly [F in AddressField]: Addresses };

/**
 * Gets each finished mail before it is sent, and gives it back, as it is or changed; or 'cancel', and it is not sent:
 * `(message) => ({ ...message, to: 'staging@example.com', cc: [], bcc: [] })`. What it throws is the mail's failure.
 */
export type MailInterceptor = (
  message: OutgoingMessage,
  origin: MailOrigin,
) => InterceptedMessage | 'cancel' | Promise<InterceptedMessage | 'cancel'>;

/** Told of each mail that is out. What it throws or rejects with is reported, and changes nothing. */
export type MailObserver = (message: OutgoingMessage, receipt: Receipt, origin: MailOrigin) => unknown;

/**
 * What an app adds to its mail: the default export of `defineApp({ mailSetup: () => import('./mail-setup') })`. Loaded
 * only where mail is delivered.
 */
export interface MailSetup {
  /** In this order, each given what the one before has made of it. */
  readonly interceptors?: readonly MailInterceptor[];
  readonly observers?: readonly MailObserver[];
  /** In place of the templates. */
  readonly render?: Render;
}

const PARTS: SetupParts<MailSetup> = {
  interceptors: ['an array of functions', isArrayOf(isFunction)],
  observers: ['an array of functions', isArrayOf(isFunction)],
  render: ['a function', isFunction],
};

/**
 * @param where the setup comes from, named in errors.
 * @throws UserError that names the part, and says what it should be.
 */
export function checkMailSetup(value: unknown, where: string): MailSetup {
  return checkSetup<MailSetup>(value, where, 'a mail setup', PARTS);
}

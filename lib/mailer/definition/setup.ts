import { checkSetup, isArrayOf, isFunction, type SetupParts } from '../../core/errors';
import { DELIVERY_METHODS } from '../../core/mail-settings';
import type { DeliveryMethod } from './delivery-method';
import type { InterceptedMessage, OutgoingMessage, Receipt, Render } from './mail-types';

/** Names the action that a mail comes from. */
export interface MailOrigin {
  /** Class name of the mailer, such as `UserMailer`. */
  readonly mailer: string;
  /** The name of the action that built the mail. */
  readonly action: string;
}

/**
 * Receives each finished mail before it is sent. It returns the mail, changed or not, or 'cancel' to send none:
 * `(message) => ({ ...message, to: 'staging@example.com', cc: [], bcc: [] })`. If it throws, the delivery fails.
 */
export type MailInterceptor = (
  message: OutgoingMessage,
  origin: MailOrigin,
) => InterceptedMessage | 'cancel' | Promise<InterceptedMessage | 'cancel'>;

/** Called after each mail that was sent. An error it throws is reported and does not affect the delivery. */
export type MailObserver = (message: OutgoingMessage, receipt: Receipt, origin: MailOrigin) => unknown;

/**
 * The app's extensions of its mail: the default export of `defineApp({ mailSetup: () => import('./mail-setup') })`.
 * Loaded only by processes that deliver mail.
 */
export interface MailSetup {
  /** Run in this order, each on the result of the one before. */
  readonly interceptors?: readonly MailInterceptor[];
  /** Run on the mails of previews, as `interceptors` on those that are sent. For styles that a preview lacks, for example. */
  readonly previewInterceptors?: readonly MailInterceptor[];
  /** Called in this order after each mail that was sent. */
  readonly observers?: readonly MailObserver[];
  /**
   * Where `assetUrl` and `image` of the templates lead, such as `https://cdn.shop.example/mail`: an absolute http or https URL.
   * Default: APP_URL.
   */
  readonly assetHost?: string;
  /** Replaces the templates. */
  readonly render?: Render;
  /**
   * The app's own ways to send, by the name that MAIL_DELIVERY or a mail's `delivery` gives: `{ pigeon: () => new Pigeon() }`.
   * Called before the first mail of a process that goes that way, and once for each `options` that mails ask for; otherwise they
   * are `{}`. A name of Catamount's own methods is refused.
   */
  readonly deliveryMethods?: Readonly<Record<string, (options: Readonly<Record<string, unknown>>) => DeliveryMethod>>;
}

function areOwnMethods(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).every(([name, open]) => isFunction(open) && !DELIVERY_METHODS.includes(name));
}

function isWebUrl(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}

const PARTS: SetupParts<MailSetup> = {
  interceptors: ['an array of functions', isArrayOf(isFunction)],
  previewInterceptors: ['an array of functions', isArrayOf(isFunction)],
  observers: ['an array of functions', isArrayOf(isFunction)],
  assetHost: ['an absolute http or https URL', isWebUrl],
  render: ['a function', isFunction],
  deliveryMethods: [`functions by names other than ${DELIVERY_METHODS.join(', ')}`, areOwnMethods],
};

/**
 * @param where names the source of the setup in errors.
 * @throws UserError that names the wrong part and the type it should have.
 */
export function checkMailSetup(value: unknown, where: string): MailSetup {
  return checkSetup<MailSetup>(value, where, 'a mail setup', PARTS);
}

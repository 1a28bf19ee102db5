import type { MailDefaults } from './mail';
import type { Layout } from './render-request';

/** A mailer's instance, whatever its params: what the code around an action asks it for. */
export interface AnyMailer {
  readonly params: object;
  beforeAction?(action: string): unknown;
  afterAction?(action: string): unknown;
  beforeDeliver?(message: never): unknown;
  afterDeliver?(message: never, receipt: never): unknown;
}

/** What delivery needs to know of the class that a mail comes from. */
export interface MailerSettings {
  readonly name: string;
  readonly defaults: MailDefaults;
  readonly layout: Layout;
  readonly i18nScope: string | undefined;
  readonly queue: string;
  readonly performDeliveries: boolean;
}

/** A concrete subclass of `Mailer`, as a value. */
export type MailerClass<M extends AnyMailer = AnyMailer> = (new () => M) & MailerSettings;

/** Mailers by the name of their class. */
export interface MailerLookup {
  get(name: string): MailerClass | undefined;
  /** Where they come from, for messages. */
  readonly place: string;
}

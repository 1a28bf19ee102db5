import { connectedDelivery } from './connection';
import type { ActionResult, Mail, MailDefaults } from './mail';

/** What delivery needs to know of the class that a mail comes from. */
export interface MailerSettings {
  readonly name: string;
  readonly defaults: MailDefaults;
  readonly layout: string | false;
  readonly i18nScope: string | undefined;
}

export type DeliveryResult =
  | { readonly status: 'sent'; readonly messageId: string }
  | { readonly status: 'skipped'; readonly reason: string };

/** A mail to come: the action runs when it is delivered, once per delivery. */
export class MailMessage {
  constructor(
    readonly mailer: MailerSettings,
    readonly action: string,
    private readonly run: () => ActionResult,
  ) {}

  /** Runs the action. @returns undefined when it built no mail. */
  async build(): Promise<Mail | undefined> {
    return this.run();
  }

  /**
   * Builds the mail and sends it, or finds that this job has sent it before.
   * @throws NotConnectedError before `boot`; InvalidMailError, TemplateError, MissingTemplateError, MissingTextError;
   * PermanentDeliveryError when the server refused for good; any other error may be gone at the next try.
   */
  async deliverNow(): Promise<DeliveryResult> {
    return connectedDelivery(`${this.mailer.name}.${this.action}`).deliver(this);
  }
}

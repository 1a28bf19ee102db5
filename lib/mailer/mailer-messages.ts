import { actionsOf } from './actions';
import type { MessageSource } from './connection';
import type { MailOrder } from './deliver-mail-job';
import { UnknownMailerError } from './errors';
import type { MailerLookup } from './mailer-class';
import { MailMessage } from './message';

/** Makes messages of mailers that are known by name. */
export class MailerMessages implements MessageSource {
  constructor(private readonly mailers: MailerLookup) {}

  /** @throws UnknownMailerError when this app has no such mailer, or the mailer no such action. */
  messageOf({ mailer, action, args, params, locale }: MailOrder): MailMessage {
    const { place } = this.mailers;
    const mailerClass = this.mailers.get(mailer);
    if (!mailerClass) {
      throw new UnknownMailerError(`there is no mailer ${mailer} in this app: no file in ${place} exports it`);
    }
    if (![...actionsOf(mailerClass).values()].includes(action)) {
      throw new UnknownMailerError(
        `${mailer} has no action ${action}: static readonly ${action} = this.action('${action}') declares one`,
      );
    }
    return new MailMessage(mailerClass, action, args, params, locale);
  }
}

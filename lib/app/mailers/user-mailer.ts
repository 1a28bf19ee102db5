import { Mailer } from '../../index';
import type { User } from '../models/user';

type Recipient = Pick<User, 'email' | 'name' | 'locale'>;

/** Mails to the users themselves. Their texts are `email.*` in ../locales. */
export class UserMailer extends Mailer {
  static override readonly i18nScope = 'email';
  static override readonly defaults = { headers: { 'Auto-Submitted': 'auto-generated' } };

  static readonly welcome = this.action('welcome');

  /** Sends nothing to a user without an address. */
  welcome({ email, name, locale }: Recipient) {
    if (email.trim() === '') return;
    return this.mail({ to: { name, address: email }, locale, locals: { email, name: nameFor(email, name) } });
  }
}

/**
 * The name in the text; without one, the local part of the address. The subject has no name, because a sign-up could
 * otherwise send a stranger's words to any address.
 */
function nameFor(email: string, name: string | null): string {
  return name?.replace(/\s+/g, ' ').trim() || email.replace(/@.*$/, '');
}

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
 * @returns the name in the text; without one, the local part of the address. The subject contains no name, because
 * otherwise anybody could sign up to have words of their own sent to any address.
 */
function nameFor(email: string, name: string | null): string {
  return name?.replace(/\s+/g, ' ').trim() || email.replace(/@.*$/, '');
}

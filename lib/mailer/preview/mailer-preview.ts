import type { Locale } from '../../core/locale';
import type { MailMessage } from '../message';

/**
 * Shows the mails of one mailer before anybody gets them, at /ops/mail. Each method is one preview; it returns a message
 * and is named as it likes, the action's own name being the usual one:
 *
 *     export default class UserMailerPreview extends MailerPreview {
 *       welcome() { return UserMailer.welcome({ email: 'ada@example.com', name: 'Ada', locale: this.locale }) }
 *     }
 *
 * Nothing is sent. What a preview writes to the database is rolled back.
 */
export abstract class MailerPreview {
  /** @param locale that the reader has chosen. The mail is rendered in it, whatever it says itself. */
  constructor(readonly locale: Locale) {}
}

export type PreviewClass = new (locale: Locale) => MailerPreview;

/** What a method of a preview may give. */
export type PreviewResult = MailMessage | Promise<MailMessage>;

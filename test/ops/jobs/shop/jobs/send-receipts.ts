import { UserMailer } from '../../../../../lib/app/mailers/user-mailer';
import { Job } from '../../../../../lib/job/job';

/** Sends a mail to each of these addresses. */
export default class SendReceiptsJob extends Job<[emails: readonly string[]]> {
  static override readonly queue = 'mailer';

  async perform(emails: readonly string[]): Promise<void> {
    for (const email of emails) await UserMailer.welcome({ email, name: null, locale: 'en' }).deliverNow();
  }
}

import { Job } from '../../../../../lib/job/job';

/** Fails, and is retried much later. */
export default class WelcomeMailJob extends Job<[user: number, locale: string]> {
  static override readonly queue = 'mailer';

  perform(user: number, _locale: string): void {
    throw new TypeError(`mailbox of ${user} does not exist: user${user}@example.com`);
  }
}

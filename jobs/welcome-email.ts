import { UserMailer } from '../lib/app/mailers/user-mailer';
import { User } from '../lib/app/models/user';
import { Job } from '../lib/index';

/** Sends the welcome mail to a new user. Does nothing when the user no longer exists. */
export default class WelcomeEmailJob extends Job<[userId: string]> {
  static override readonly queue = 'mailer';

  async perform(userId: string): Promise<void> {
    const user = await User.query().findById(userId);
    if (user) await UserMailer.welcome(user).deliverNow();
  }
}

import WelcomeEmailJob from '../../../jobs/welcome-email';
import { transaction } from '../../index';
import { User } from '../models/user';
import { digestOf, formatToken, newSecret } from './access-token';

/** Somebody has signed up with this address, perhaps a moment ago. */
export class EmailTakenError extends Error {
  override readonly name = 'EmailTakenError';
}

export interface SignUp {
  readonly user: User;
  /** Shown this once. */
  readonly accessToken: string;
}

/** The user and the job that mails the welcome: both are there after it, or neither is. */
export async function signUp(input: Pick<User, 'email' | 'name' | 'locale'>): Promise<SignUp> {
  const secret = newSecret();
  try {
    return await transaction(async () => {
      const user = await User.query().insert({ ...input, tokenDigest: digestOf(secret) });
      await WelcomeEmailJob.performLater(user.id);
      return { user, accessToken: formatToken({ userId: user.id, secret }) };
    });
  } catch (error) {
    // The index decides, not a look beforehand: two sign-ups may race.
    if (User.isEmailTaken(error)) throw new EmailTakenError(input.email, { cause: error });
    throw error;
  }
}

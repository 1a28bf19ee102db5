import WelcomeEmailJob from '../../../jobs/welcome-email';
import { transaction } from '../../index';
import { User } from '../models/user';
import { formatToken, hashToken, newSecret } from './access-token';

/** Another user has signed up with this address, perhaps a moment ago. */
export class EmailTakenError extends Error {
  override readonly name = 'EmailTakenError';
}

export interface SignUp {
  readonly user: User;
  /** Shown only once, since only its digest is stored. */
  readonly accessToken: string;
}

/**
 * Creates the user and enqueues the welcome mail in one transaction, so that both exist or neither does.
 * @throws EmailTakenError if another user has the address.
 */
export async function signUp(input: Pick<User, 'email' | 'name' | 'locale'>): Promise<SignUp> {
  const secret = newSecret();
  try {
    return await transaction(async () => {
      const user = await User.query().insert({ ...input, tokenDigest: hashToken(secret) });
      await WelcomeEmailJob.performLater(user.id);
      return { user, accessToken: formatToken({ userId: user.id, secret }) };
    });
  } catch (error) {
    // The unique index decides, rather than a query beforehand, because two sign-ups may race.
    if (User.isEmailTaken(error)) throw new EmailTakenError(input.email, { cause: error });
    throw error;
  }
}

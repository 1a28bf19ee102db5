import { User } from '../models/user';
import { matches, parseToken } from './access-token';

/** @param header the Authorization header. @returns the user whose token it bears, if it is one. */
export async function authenticate(header: string): Promise<User | undefined> {
  const [, text = ''] = /^Bearer +(\S+) *$/i.exec(header) ?? [];
  const token = parseToken(text);
  if (!token) return undefined;
  const user = await User.query().findById(token.userId);
  return user && matches(token.secret, user.tokenDigest) ? user : undefined;
}

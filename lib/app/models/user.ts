import { Model } from '../../index';

export class User extends Model {
  static override readonly tableName = 'users';

  declare readonly id: string;
  declare email: string;
  declare name: string | null;
  declare locale: string;
  /** SHA-256 of the secret part of the access token. */
  declare tokenDigest: Buffer;

  /** @returns true if an insert or update failed because another user has the address, in upper or lower case. */
  static isEmailTaken(error: unknown): boolean {
    return error instanceof Error && 'constraint' in error && error.constraint === 'users_email_key';
  }
}

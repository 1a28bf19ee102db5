import { Model } from '../../index';

/** The languages this app speaks: one file each in ../locales. */
export const USER_LOCALES = ['en', 'ko'] as const;
export type UserLocale = (typeof USER_LOCALES)[number];

export class User extends Model {
  static override readonly tableName = 'users';

  declare readonly id: string;
  declare email: string;
  declare name: string | null;
  declare locale: UserLocale;
  /** SHA-256 of the secret part of the access token. */
  declare tokenDigest: Buffer;

  /** True of the error of an insert or update whose address, in whatever case, another user has. */
  static isEmailTaken(error: unknown): boolean {
    return error instanceof Error && 'constraint' in error && error.constraint === 'users_email_key';
  }
}

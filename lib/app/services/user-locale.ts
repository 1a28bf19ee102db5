/** The languages of this app, each with a file in ../locales. */
export const USER_LOCALES = ['en', 'ko'] as const;
export type UserLocale = (typeof USER_LOCALES)[number];

/** @returns the locale, if this app has it; else English. */
export function userLocale(locale: string): UserLocale {
  return USER_LOCALES.find((each) => each === locale) ?? 'en';
}

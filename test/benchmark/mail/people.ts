import path from 'node:path';
import { ROOT } from '../frame/store';

/** Of our own app: all senders render the same mail from these files. */
export const TEMPLATES = path.join(ROOT, 'lib/app/mailers/templates');
export const LOCALES = path.join(ROOT, 'lib/app/locales');
export const APP_URL = 'https://shop.example';
export const FROM = 'Shop <hello@shop.example>';

export interface Person {
  readonly email: string;
  readonly name: string;
  readonly locale: 'en' | 'ko';
}

/** Nobody twice; every other one reads Korean. */
export function person(n: number): Person {
  const email = `user${n}@example.com`;
  return n % 2 ? { email, name: `김민지 ${n} 🐈`, locale: 'ko' } : { email, name: `O'Brien <b> ${n}`, locale: 'en' };
}

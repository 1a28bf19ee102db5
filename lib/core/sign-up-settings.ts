import { z } from 'zod';
import { parseRate, type Rate } from '../support/duration';
import type { Config } from './config';
import type { SettingsReader } from './settings-reader';

const rate = z.union([
  z.literal('off').transform(() => null),
  z
    .string()
    .transform((text) => parseRate(text))
    .refine((parsed) => parsed !== undefined),
]);

/** Reads the rate limits of sign-ups. The defaults suffice for an office behind one address, and stop a flood. */
export function readSignUps(read: SettingsReader): Config['signUps'] {
  const get = (variable: string, fallback: Rate) =>
    read.get(variable, rate, 'a number per time, such as 60/1h, of 1s to 1d; or off', fallback) ?? null;
  return {
    perAddress: get('SIGN_UPS_PER_ADDRESS', { count: 60, seconds: 3600 }),
    perDomain: get('SIGN_UPS_PER_DOMAIN', { count: 600, seconds: 3600 }),
    perMailbox: get('SIGN_UPS_PER_MAILBOX', { count: 5, seconds: 86_400 }),
  };
}

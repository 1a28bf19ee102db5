/** For tests that sign up hundreds of users from one address: sign-ups are counted, but never reach a limit. */
export const UNLIMITED = {
  SIGN_UPS_PER_ADDRESS: '100000000/1h',
  SIGN_UPS_PER_DOMAIN: '100000000/1h',
  SIGN_UPS_PER_MAILBOX: '100000000/1h',
} as const;

/** For those who sign up by the hundred from one address, which is not what they are about. The limits are there, and counted. */
export const UNLIMITED = {
  SIGN_UPS_PER_ADDRESS: '100000000/1h',
  SIGN_UPS_PER_DOMAIN: '100000000/1h',
  SIGN_UPS_PER_MAILBOX: '100000000/1h',
} as const;

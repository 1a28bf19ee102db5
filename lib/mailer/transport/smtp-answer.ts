import type { Refusal } from './transport';

interface SmtpError extends Error {
  readonly responseCode: number;
  readonly response: string;
}

/** Replies about who we are, not about the mail: a corrected SMTP_URL cures them, so they must not end a mail. */
const ABOUT_LOGIN = new Set([530, 534, 535, 538]);

/**
 * Whether the server refused this mail for good: a 5xx to MAIL, RCPT or DATA. A 5xx greeting or a failed login is
 * about the server's or our state, and passes.
 */
export function isPermanent(error: Error): error is SmtpError {
  const { code, responseCode, response } = error as Partial<SmtpError> & { readonly code?: unknown };
  return (
    (code === 'EENVELOPE' || code === 'EMESSAGE') &&
    typeof response === 'string' &&
    typeof responseCode === 'number' &&
    responseCode >= 500 &&
    responseCode < 600 &&
    !ABOUT_LOGIN.has(responseCode)
  );
}

/** The recipients refused while others were taken. */
export function refusals(info: {
  readonly rejectedErrors?:
    | readonly (Error & {
        recipient?: string | undefined;
        response?: string | undefined;
        responseCode?: number | undefined;
      })[]
    | undefined;
}): readonly Refusal[] {
  return (info.rejectedErrors ?? []).map((error) => ({
    address: error.recipient ?? 'unknown',
    answer: error.response ?? error.message,
    permanent: error.responseCode === undefined || error.responseCode >= 500,
  }));
}

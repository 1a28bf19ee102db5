import type { Refusal } from './transport';

interface SmtpError extends Error {
  readonly responseCode: number;
  readonly response: string;
}

/** Replies about who we are, not about the mail: a corrected SMTP_URL cures them, so they must not end a mail. */
const ABOUT_LOGIN = new Set([530, 534, 535, 538]);

/** An enhanced code (RFC 3463) behind the reply's own. */
const ENHANCED = /^\d{3}[ -](\d)\.(\d{1,3})\.(\d{1,3})\b/;
/** Limits that pass by themselves, in the words of servers. */
const LIMIT_WORDS =
  /\bquota\b|exceeded storage|mailbox (is )?full|\btoo many (messages|mails|e-?mails|connections)|\b(rate|sending|hourly|daily) limit|\b(unusual|sending|message) rate\b|throttl|try again later/i;

/** Whether a 5xx tells of a limit, which is another tomorrow: by its enhanced code, or by its words where the code leaves that open. */
function isPassing(response: string): boolean {
  const [, kind, subject, detail] = ENHANCED.exec(response) ?? [];
  if (kind === '4') return true;
  const code = `${subject}.${detail}`;
  if (code === '2.2' || code === '4.5') return true;
  const isOpen = kind === undefined || subject === '7' || code === '0.0';
  return isOpen && LIMIT_WORDS.test(response) && !/\bsize\b/i.test(response);
}

/**
 * Whether the server refused this mail for good: a 5xx to MAIL, RCPT or DATA. A 5xx greeting or a failed login is
 * about the server's or our state, and passes, and so does a quota or a rate.
 */
export function isPermanent(error: Error): error is SmtpError {
  const { code, responseCode, response } = error as Partial<SmtpError> & { readonly code?: unknown };
  return (
    (code === 'EENVELOPE' || code === 'EMESSAGE') &&
    typeof response === 'string' &&
    typeof responseCode === 'number' &&
    responseCode >= 500 &&
    responseCode < 600 &&
    !ABOUT_LOGIN.has(responseCode) &&
    !isPassing(response)
  );
}

/** What the server said, such as `450 4.2.1 mailbox busy`; undefined where it said nothing: it was not reached, say. */
export function answerIn(error: Error): string | undefined {
  for (let one: unknown = error; one instanceof Error; one = one.cause) {
    const { response } = one as Partial<SmtpError>;
    if (typeof response === 'string') return response;
  }
  return undefined;
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
    permanent: error.responseCode === undefined || (error.responseCode >= 500 && !isPassing(error.response ?? '')),
  }));
}

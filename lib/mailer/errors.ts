import { KillJob } from '../job/perform/verdict';

/**
 * A mail that cannot be built as asked: no sender, no recipient, a bad address, a line break in a header. Ends its job
 * in the dead set, for another try would ask for the same.
 */
export class InvalidMailError extends KillJob {}

/** The action has no template, or its layout has none for a part that the action has. */
export class MissingTemplateError extends Error {
  override readonly name = 'MissingTemplateError';
}

/** A template or subject asked for a text that no locale file has. */
export class MissingTextError extends Error {
  override readonly name = 'MissingTextError';
}

/** Another run of the same job is sending this very mail at this moment. Try later: then it is known to be sent or not. */
export class DeliveryInProgressError extends Error {
  override readonly name = 'DeliveryInProgressError';
}

/** The server refused the mail for good (5xx). Ends its job in the dead set, where the answer is shown. */
export class PermanentDeliveryError extends KillJob {
  /** @param answer what the server said, such as `550 5.1.1 no such user`. */
  constructor(
    readonly answer: string,
    readonly code: number,
    cause: unknown,
  ) {
    super(`the SMTP server refused the mail for good: ${answer}`, { cause });
  }
}

import { EXIT, toError, UserError } from '../core/errors';

/** Postgres's code for a table that is not there. */
const UNDEFINED_TABLE = '42P01';
/** Of these a stack tells more than a message: they are mistakes in code. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError];

/** What a person at a terminal should read of what ended a command. */
export function explained(thrown: unknown): Error {
  const error: Error & { readonly code?: unknown } = toError(thrown);
  if (error instanceof UserError || MISTAKES.some((kind) => error instanceof kind)) return error;
  if (error.code === UNDEFINED_TABLE) {
    return new UserError("The database lacks tables of Catamount's: run catamount migrate.", EXIT.unavailable);
  }
  return Object.assign(new UserError(`It did not work, Redis or Postgres says: ${error.message}`), { cause: error });
}

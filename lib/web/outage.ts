import { isTlsFailure } from '../core/tls-advice';

/**
 * Of the network, and of Postgres: class 08 (connections), class 53 (no disk, memory or connection left), being shut down
 * or started, and a standby that takes no writes.
 */
const CODES =
  /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN|08\w{3}|53\w{3}|57P0[123]|25006)$/;
/** Of connections that broke or never came about, which have no code; knex puts the statement before it. */
const MESSAGES = /(?:^| - )(?:Connection terminated|Client has encountered a connection error|timeout expired)/;
const DEEPEST = 5;

/** A server that this one needs is away, is starting, or takes no more: worth another try, by the caller. */
export function isOutage(thrown: unknown): boolean {
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < DEEPEST; depth++) {
    if (speaksOfOutage(error)) return true;
    error = beneath(error);
  }
  return false;
}

function speaksOfOutage(error: Error): boolean {
  const code = 'code' in error ? String(error.code) : '';
  return error.name === 'KnexTimeoutError' || CODES.test(code) || MESSAGES.test(error.message) || isTlsFailure(error);
}

/** Models wrap the errors of the database. */
function beneath(error: Error): unknown {
  return 'nativeError' in error ? error.nativeError : error.cause;
}

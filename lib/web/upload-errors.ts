import { isObject } from '../support/type-guards';
import { ProblemError } from './context';

/**
 * Recognizes the errors of upload parsers that carry no `status` as Koa's do: multer's (by name and code) and
 * formidable's (`httpCode`). @returns undefined for any other error.
 */
export function uploadProblem(thrown: unknown): ProblemError | undefined {
  if (!isObject(thrown) || !(thrown instanceof Error)) return undefined;
  const detail = thrown.message;
  if (thrown.name === 'MulterError' && 'code' in thrown) {
    const isLimit = /^LIMIT_(?!UNEXPECTED)/.test(String(thrown.code));
    return new ProblemError(isLimit ? 413 : 400, { detail });
  }
  const status = 'httpCode' in thrown ? thrown.httpCode : undefined;
  return typeof status === 'number' && status >= 400 && status < 500 ? new ProblemError(status, { detail }) : undefined;
}

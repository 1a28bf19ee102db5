import { ProblemError } from '../../web/problem';

/**
 * A problem that the pages tell in the reader's language.
 * @param reason the texts `errors.<reason>.title` and `.what`.
 */
export function refusal(
  status: number,
  reason: string,
  options: {
    readonly values?: Readonly<Record<string, unknown>>;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): ProblemError {
  const { values = {}, headers = {} } = options;
  return new ProblemError(status, { headers, extensions: { ...values, reason } });
}

import { EXIT, UserError } from '../core/errors';

/** One mistake in an app: a sentence that names the file, the thing and what to do. */
export interface Finding {
  readonly message: string;
  /** true: a tree does not start with it. */
  readonly fatal: boolean;
}

/** Sent to the primary by the process that checks the app at a start. */
export interface CheckMessage {
  readonly findings: readonly Finding[];
}

/** @throws UserError with each finding that is fatal. @param warn gets the others. */
export function refuseMistakes(findings: readonly Finding[], warn: (message: string) => void): void {
  for (const { message, fatal } of findings) if (!fatal) warn(message);
  const fatal = findings.filter((finding) => finding.fatal).map(({ message }) => `  ${message}`);
  if (fatal.length === 0) return;
  const said = `Catamount cannot start the app as it is; catamount check finds the same:\n${fatal.join('\n')}`;
  throw new UserError(said, EXIT.config);
}

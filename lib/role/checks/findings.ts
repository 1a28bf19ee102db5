import { runEntry } from '../../cluster/child-process';
import { CHECK_ROLE, type Incoming } from '../../cluster/messages';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';

/** One mistake in an app: a sentence that names the file, the thing and what to do. */
export interface Finding {
  readonly message: string;
  /** true: a tree does not start with it. */
  readonly fatal: boolean;
}

/** Sent to the primary by the process that checks the app at a start. */
export interface CheckMessage {
  readonly catamount: 'findings';
  readonly findings: readonly Finding[];
}

/** Maximum time of the check, ms: clients that connect meanwhile wait for it. */
const MAX_CHECK_MS = 10_000;

/**
 * Checks the app in a process of its own. An app that takes long to load is not checked: its processes have time limits
 * of their own, and report what they wait for.
 * @param bootTimeoutMs the time that a process has to become ready. @param isOver true: the result is no longer needed.
 * @throws UserError with all that is wrong.
 */
export async function checkAtStart(bootTimeoutMs: number, events: Events, isOver: () => boolean): Promise<void> {
  const findings: Finding[] = [];
  const onMessage = (given: unknown) => {
    const message = given as Incoming<CheckMessage>;
    if (message?.catamount) findings.push(...message.findings);
  };
  const timeoutMs = Math.min(MAX_CHECK_MS, bootTimeoutMs);
  const code = await runEntry(CHECK_ROLE, events, { onMessage, timeoutMs });
  if (isOver()) return;
  const warn = (message: string) => events.emit('process.warning', { message });
  if (typeof code === 'string') {
    const why = code === 'late' ? `it had not loaded after ${timeoutMs / 1000} s` : `${code} ended its check`;
    warn(`The app was not checked: ${why}. See what catamount check says.`);
    return;
  }
  if (code !== EXIT.ok) throw new UserError('Catamount cannot start: the app cannot be loaded, see above.', code);
  refuseMistakes(findings, warn);
}

/** @throws UserError with each finding that is fatal. @param warn gets the others. */
export function refuseMistakes(findings: readonly Finding[], warn: (message: string) => void): void {
  for (const { message, fatal } of findings) if (!fatal) warn(message);
  const fatal = findings.filter((finding) => finding.fatal).map(({ message }) => `  ${message}`);
  if (fatal.length === 0) return;
  const said = `Catamount cannot start the app as it is; catamount check finds the same:\n${fatal.join('\n')}`;
  throw new UserError(said, EXIT.config);
}

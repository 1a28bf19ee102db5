import { runEntry } from '../../cluster/child-process';
import { CHECK_ROLE } from '../../cluster/child-roles';
import type { Incoming } from '../../cluster/messages';
import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { asSentence, type Finding } from '../../core/finding';
import type { AppDefinition } from '../app/app-definition';
import { findings } from '../checks/all-checks';

/** Sent to the primary by the process that checks the app at a start. */
interface CheckMessage {
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
  const found: Finding[] = [];
  const onMessage = (given: unknown) => {
    const message = given as Incoming<CheckMessage>;
    if (message?.catamount) found.push(...message.findings);
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
  refuseMistakes(found, warn);
}

/** @throws UserError with each error. @param warn gets the other findings. */
export function refuseMistakes(found: readonly Finding[], warn: (message: string) => void): void {
  for (const each of found) if (each.severity !== 'error') warn(asSentence(each));
  const fatal = found.filter(({ severity }) => severity === 'error').map((each) => `  ${asSentence(each)}`);
  if (fatal.length === 0) return;
  const said = `Catamount cannot start the app as it is; catamount check finds the same:\n${fatal.join('\n')}`;
  throw new UserError(said, EXIT.config);
}

/** Runs in that process, and sends what it has found to the primary. */
export async function runStartCheck(app: AppDefinition, config: Config): Promise<void> {
  process.title = 'catamount: check';
  ignoreOperatorSignals();
  process.once('disconnect', () => process.exit(EXIT.failed));
  const { AppParts } = await import('../checks/app-parts');
  const found = await findings('app', 'start', new AppParts(app, config));
  process.send?.({ catamount: 'findings', findings: found } satisfies CheckMessage, undefined, undefined, () =>
    process.exit(EXIT.ok),
  );
}

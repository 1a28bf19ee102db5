import { once } from 'node:events';
import { type ChildProcess, runEntry } from '../../cluster/child-process';
import { CHECK_ROLE } from '../../cluster/child-roles';
import type { Incoming } from '../../cluster/messages';
import { ignoreOperatorSignals } from '../../cluster/operator-signals';
import type { Config } from '../../core/config';
import { EXIT, UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { asSentence, type Finding } from '../../core/finding';
import { deferred } from '../../support/deferred';
import type { AppDefinition } from '../app/app-definition';
import { findings } from '../checks/all-checks';

/** Sent to the primary by the process that checks the app at a start. */
interface CheckMessage {
  readonly catamount: 'findings';
  readonly findings: readonly Finding[];
}

/** The reply outside production: the app's database is to be migrated. */
interface MigrateMessage {
  readonly catamount: 'migrate';
  readonly databaseUrl: string | null;
}

/** Maximum time of the check, ms: clients that connect meanwhile wait for it. */
const MAX_CHECK_MS = 10_000;

/**
 * Checks the app, and outside production migrates, in one process of its own, so that the primary never loads the app nor the ORM.
 * An app that takes long to load is not checked: its processes have time limits of their own, and report what they wait for.
 */
export class StartCheck {
  private child: ChildProcess | undefined;
  private readonly ended: Promise<number | NodeJS.Signals | 'late'>;
  /** Resolves when the app may start; rejects with a UserError that says all that is wrong. */
  readonly passed: Promise<void>;

  /**
   * @param bootTimeoutMs the time that a process has to become ready.
   * @param isOver true: the result is no longer needed.
   */
  constructor(
    bootTimeoutMs: number,
    private readonly events: Events,
    private readonly isOver: () => boolean,
  ) {
    const timeoutMs = Math.min(MAX_CHECK_MS, bootTimeoutMs);
    const found = deferred<readonly Finding[]>();
    this.ended = runEntry(CHECK_ROLE, events, {
      onFork: (child) => {
        this.child = child;
      },
      onMessage: (given) => {
        const message = given as Incoming<CheckMessage>;
        if (message?.catamount) found.resolve(message.findings);
      },
      timeoutMs,
    });
    this.passed = Promise.race([found.promise, this.ended]).then((result) => this.judge(result, timeoutMs));
  }

  /** @throws UserError if the migrations fail. */
  async migrate(databaseUrl: string | null): Promise<void> {
    const isThere = this.child?.connected === true;
    if (isThere) this.child?.send({ catamount: 'migrate', databaseUrl } satisfies MigrateMessage);
    const code = await (isThere ? this.ended : runEntry('migrate', this.events));
    if (code === EXIT.ok) return;
    const exitCode = typeof code === 'number' ? code : EXIT.failed;
    throw new UserError('Catamount cannot start: the migrations failed, see above.', exitCode);
  }

  private judge(result: readonly Finding[] | number | string, timeoutMs: number): void {
    if (this.isOver()) return;
    const warn = (message: string) => this.events.emit('process.warning', { message });
    if (typeof result === 'string') {
      const why = result === 'late' ? `it had not loaded after ${timeoutMs / 1000} s` : `${result} ended its check`;
      warn(`The app was not checked: ${why}. See what catamount check says.`);
    } else if (typeof result === 'number') {
      throw new UserError('Catamount cannot start: the app cannot be loaded, see above.', result || EXIT.failed);
    } else refuseMistakes(result, warn);
  }
}

/** @throws UserError with each error. @param warn gets the other findings. */
export function refuseMistakes(found: readonly Finding[], warn: (message: string) => void): void {
  for (const each of found) if (each.severity !== 'error') warn(asSentence(each));
  const fatal = found.filter(({ severity }) => severity === 'error').map((each) => `  ${asSentence(each)}`);
  if (fatal.length === 0) return;
  const said = `Catamount cannot start the app as it is; catamount check finds the same:\n${fatal.join('\n')}`;
  throw new UserError(said, EXIT.config);
}

/** Runs in that process: sends what it has found to the primary, and outside production waits until it is to migrate. */
export async function runStartCheck(app: AppDefinition, config: Config): Promise<void> {
  process.title = 'catamount: check';
  ignoreOperatorSignals();
  process.once('disconnect', () => process.exit(EXIT.failed));
  const { AppParts } = await import('../checks/app-parts');
  const found = await findings('app', 'start', new AppParts(app, config));
  const reply = once(process, 'message') as Promise<[MigrateMessage]>;
  const isLast = config.environment === 'production';
  process.send?.({ catamount: 'findings', findings: found } satisfies CheckMessage, undefined, undefined, () => {
    if (isLast) process.exit(EXIT.ok);
  });
  if (isLast) return;
  const { runMigrations } = await import('../command/migrate');
  const [{ databaseUrl }] = await reply;
  process.title = 'catamount: migrate';
  await runMigrations(app, { ...config, databaseUrl }, 'up');
  process.exit(EXIT.ok);
}

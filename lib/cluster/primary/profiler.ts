import fs from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../../core/config';
import { UserError } from '../../core/errors';
import type { Events } from '../../core/events';
import { Deadline } from '../../support/deadline';
import { deferred } from '../../support/deferred';
import { PeriodicTask } from '../../support/periodic-task';
import { toError } from '../../support/to-error';
import { HEARTBEAT_INTERVAL_MS } from '../messages';
import { ProfileFolder } from '../profiles';
import { endingOf, type Profile } from '../status';
import type { ChildHandle } from './child-handle';
import { ANSWER_LIMIT_MS } from './child-inspector';
import type { InspectorSession } from './inspector-session';
import type { CpuProfile } from './profile-sources';

const MAX_SECONDS = 60;
/** Length of a profile of a process that lags, s, and the shortest time between two of them, ms. */
const AUTOMATIC_SECONDS = 10;
const AUTOMATIC_EVERY_MS = 3_600_000;
/** Time limit for a process to hand over its CPU profile, and to write its heap, ms. */
const HAND_OVER_MS = 60_000;
const HEAP_LIMIT_MS = 10 * 60_000;
const PRUNE_EVERY_MS = 3_600_000;
/** Time for the news of a child's end to arrive after its connection has ended, ms. */
const NEWS_MS = 1000;
/** A process without a message for this time, ms, counts as blocked; it is paused within this time, ms. */
const BLOCKED_MS = 1.5 * HEARTBEAT_INTERVAL_MS;
const PAUSE_MS = 1000;

/** A session with the inspector of a process. */
interface Session {
  ask(method: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>;
  onEvent?: InspectorSession['onEvent'];
}

/** Takes CPU profiles and heap snapshots of the processes of a tree, one at a time, by their inspectors. */
export class Profiler {
  /** Removes what is no longer to be kept. */
  readonly task: PeriodicTask;
  private readonly folder: ProfileFolder;
  /** What is being taken. */
  private underWay: string | undefined;

  constructor(
    config: Pick<Config, 'stateDir'>,
    private readonly events: Events,
    private readonly children: () => readonly ChildHandle[],
  ) {
    this.folder = new ProfileFolder(config);
    events.on('child.lagging', ({ pid }) => void this.onLag(pid));
    this.task = new PeriodicTask({
      everyMs: PRUNE_EVERY_MS,
      work: async () => {
        this.folder.prune();
        return undefined;
      },
      onError: (error) => events.emit('process.error', { error, during: 'removing old profiles' }),
    });
  }

  /** @throws UserError with the reason when it cannot be taken. */
  cpu(pid: number, seconds: number, automatic = false): Promise<Profile> {
    if (seconds < 1 || seconds > MAX_SECONDS)
      throw new UserError(`a CPU profile takes 1 to ${MAX_SECONDS} seconds, not ${seconds}.`);
    const limitMs = ANSWER_LIMIT_MS + seconds * 1000 + HAND_OVER_MS;
    return this.take({ kind: 'cpu', pid, automatic, limitMs }, async (session, part, child) => {
      const begin = () => session.ask('Profiler.start');
      await session.ask('Profiler.enable');
      await (child && child.heartbeatAgeMs > BLOCKED_MS ? beginWithStep(session, begin) : begin());
      await wait(seconds * 1000);
      const { profile } = (await session.ask('Profiler.stop')) as { readonly profile: CpuProfile };
      const { nameSources } = await import('./profile-sources');
      nameSources(profile);
      await fs.writeFile(part, JSON.stringify(profile));
    });
  }

  /** The process stands still meanwhile. @throws as `cpu` does. */
  heap(pid: number): Promise<Profile> {
    return this.take({ kind: 'heap', pid, automatic: false, limitMs: HEAP_LIMIT_MS }, writeHeap);
  }

  private async onLag(pid: number): Promise<void> {
    try {
      const since = new Date(Date.now() - AUTOMATIC_EVERY_MS).toISOString();
      if (this.underWay !== undefined || this.folder.list().some(({ automatic, at }) => automatic && at > since))
        return;
      await this.cpu(pid, AUTOMATIC_SECONDS, true);
    } catch (error) {
      this.events.emit('profile.failed', { message: toError(error).message });
    }
  }

  private async take(
    { limitMs, ...about }: Pick<Profile, 'kind' | 'pid' | 'automatic'> & { readonly limitMs: number },
    record: (session: Session, part: string, child: ChildHandle | undefined) => Promise<void>,
  ): Promise<Profile> {
    const { kind, pid } = about;
    const child = this.children().find((one) => one.pid === pid && !one.isInProcess);
    if (!child && pid !== process.pid)
      throw new UserError(`pid ${pid} is no process of this tree; see catamount stats.`);
    const name = child?.name ?? 'primary';
    const what = `${kind === 'cpu' ? 'CPU profile' : 'heap snapshot'} of ${name} (pid ${pid})`;
    if (this.underWay !== undefined) throw new UserError(`one at a time: the ${this.underWay} is being taken.`);
    this.underWay = what;
    let part: string | undefined;
    try {
      const begun = this.folder.begin({ ...about, process: name });
      part = begun.part;
      const file = part;
      const work = (session: Session) => record(session, file, child);
      await (child ? child.inspect(limitMs, work, kind === 'heap') : inPrimary(work));
      const profile = begun.done();
      this.folder.prune();
      this.events.emit('profile.taken', { kind, child: name, pid, file: profile.file, automatic: about.automatic });
      return profile;
    } catch (thrown) {
      if (part !== undefined) await fs.rm(part, { force: true });
      if (child) await Deadline.after(NEWS_MS).wait(child.exited.promise);
      const { message } = toError(thrown);
      const ending = child?.termination && endingOf(child.termination);
      const reason = child?.wasDraining ? 'it was asked to stop meanwhile' : (ending ?? message);
      throw new UserError(`there is no ${what}: ${reason}.`);
    } finally {
      this.underWay = undefined;
    }
  }
}

/**
 * The loop that blocks a process was optimised before the profile begins. V8 then blames its caller. So the profile begins with a
 * step of the debugger, which makes V8 leave what it has optimised.
 */
async function beginWithStep(session: Session, begin: () => Promise<unknown>): Promise<void> {
  const paused = deferred();
  session.onEvent = (method) => {
    if (method === 'Debugger.paused') paused.resolve();
  };
  await session.ask('Debugger.enable');
  await session.ask('Debugger.pause');
  // It is not paused if it has become idle.
  const stands = (await Deadline.after(PAUSE_MS).wait(paused.promise)) === 'done';
  await begin();
  if (stands) await session.ask('Debugger.stepOver');
  await session.ask('Debugger.disable');
}

/** The process writes it itself, bit by bit: here it would not fit into memory. */
async function writeHeap(session: Session, part: string): Promise<void> {
  const expression = `process.getBuiltinModule('v8').writeHeapSnapshot(${JSON.stringify(part)})`;
  const { exceptionDetails } = (await session.ask('Runtime.evaluate', { expression })) as {
    readonly exceptionDetails?: { readonly exception?: { readonly description?: string } };
  };
  if (exceptionDetails)
    throw new Error(exceptionDetails.exception?.description?.split('\n')[0] ?? 'it cannot be written');
}

/** The primary asks itself, without a port. */
async function inPrimary(work: (session: Session) => Promise<void>): Promise<void> {
  const { Session } = await import('node:inspector/promises');
  const session = new Session();
  session.connect();
  try {
    await work({ ask: (method, params) => session.post(method, { ...params }) });
  } finally {
    session.disconnect();
  }
}

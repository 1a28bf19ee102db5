import type { JsonValue } from '../../core/execution-context';
import { Redactor } from '../../core/redact';
import { jobNameOf } from '../definition/job-class';
import type { JobRegistry } from '../job-registry';
import { processName } from '../processes/process-list';
import type { JobEntry, JobError } from '../sets/entry';

export interface ShownError {
  readonly message: string;
  readonly stack: string;
  /** The run that failed with it; null where nobody noted that. */
  readonly run: {
    readonly at: string;
    readonly attempt: number;
    readonly duration_ms: number | null;
    /** Host and pid. */
    readonly process: string;
  } | null;
}

/** A job as commands show it: what is to be hidden is hidden, in JSON too. */
export interface ShownJob {
  readonly id: string;
  readonly class: string | null;
  readonly queue: string;
  readonly set: string;
  /** ISO, as all times: when it will run, died, or was put on its queue. */
  readonly at: string | null;
  readonly enqueued_at: string | null;
  /** Runs that have failed. */
  readonly attempts: number;
  /** null: not to be shown, or of a class that this app does not have. */
  readonly args: readonly JsonValue[] | null;
  readonly reason: string | null;
  /** Newest first. */
  readonly errors: readonly ShownError[];
  readonly tags: readonly string[];
  readonly request_id: string | null;
  readonly locale: string | null;
  readonly attributes: JsonValue;
  readonly progress: JsonValue;
  readonly unreadable: string | null;
}

/** Shows jobs by the rules of their classes and of the app's `filterArguments`. */
export class JobView {
  private readonly filter: Redactor;

  constructor(
    private readonly registry: JobRegistry,
    filterArguments: readonly (string | RegExp)[] = [],
  ) {
    this.filter = new Redactor(filterArguments);
  }

  job(entry: JobEntry): ShownJob {
    const { requestId, locale, attributes } = entry.context;
    const jobClass = entry.class === undefined ? undefined : this.registry.get(entry.class);
    return {
      id: entry.id,
      class: entry.class ?? null,
      queue: entry.queue,
      set: entry.set,
      at: entry.at?.toISOString() ?? null,
      enqueued_at: entry.enqueuedAt?.toISOString() ?? null,
      attempts: entry.attempts,
      args: entry.unreadable === undefined ? (this.filter.show(jobClass, entry.args) ?? null) : null,
      reason: entry.reason ?? null,
      errors: entry.errors.map(shownError),
      tags: entry.tags,
      request_id: requestId ?? null,
      locale: locale ?? null,
      attributes: this.hidden(attributes ?? null),
      progress: this.hidden((entry.progress ?? null) as JsonValue),
      unreadable: entry.unreadable ?? null,
    };
  }

  /** Why the arguments of such a job are not shown. */
  reasonForNone({ class: name, unreadable }: ShownJob): string {
    if (unreadable !== null) return 'cannot be read';
    const jobClass = name === null ? undefined : this.registry.get(name);
    return jobClass ? `not shown: ${jobNameOf(jobClass)} says logArguments = false` : 'not shown: the class is unknown';
  }

  private hidden(value: JsonValue): JsonValue {
    return this.filter.filter([value])[0] ?? null;
  }
}

function shownError({ message, stack, run }: JobError): ShownError {
  if (!run) return { message, stack, run: null };
  const { at, attempt, ms } = run;
  return {
    message,
    stack,
    run: { at: new Date(at).toISOString(), attempt, duration_ms: ms ?? null, process: processName(run) },
  };
}

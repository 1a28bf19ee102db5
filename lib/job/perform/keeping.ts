import os from 'node:os';
import type { Attributes } from '../../core/execution-context';
import { toError } from '../../support/to-error';
import type { KeepRule } from '../definition/options';
import type { ArgumentCodec } from '../record/arguments';
import type { Keyring } from '../record/encryption';
import { type Ending, encodeResult, type LogLine } from '../record/ending';
import { storable } from '../record/history';
import type { FinishedJob } from '../row/finished';
import type { Run } from './run';

const HOST = os.hostname();
/** Longer results are not kept, bytes of JSON. */
const MAX_RESULT = 1_048_576;
/** Limits of the lines that are kept of a run: their number, and bytes of JSON. */
const MAX_LINES = 1000;
const MAX_LOG = 65_536;

export interface KeepingOptions {
  readonly rule: KeepRule;
  readonly codec: ArgumentCodec;
  /** The keys of a job that encrypts: its result is encrypted, and no line is kept. */
  readonly keys: Keyring | undefined;
}

/** What a run of a class with `keep` leaves: its log, its result, and when and where it ran. */
export class Keeping {
  /** Why the result cannot be kept, if it cannot. The job is done all the same: another run would do its work twice. */
  lost: string | undefined;
  private readonly lines: LogLine[] = [];
  private bytes = 0;
  private leftOut = 0;
  private made: FinishedJob | undefined;

  constructor(private readonly options: KeepingOptions) {}

  note(text: string, fields: Attributes | undefined): void {
    if (this.options.keys) return;
    // A copy, since the job may go on to change them.
    const line = JSON.stringify({ at: Date.now(), text, fields });
    this.bytes += Buffer.byteLength(line);
    if (this.leftOut > 0 || this.lines.length === MAX_LINES || this.bytes > MAX_LOG) this.leftOut++;
    else this.lines.push(JSON.parse(line) as LogLine);
  }

  /** Takes what the thread of the run has made. @param lost why the result cannot be kept, if it cannot. */
  take(finished: FinishedJob, lost: string | undefined): void {
    this.made = finished;
    this.lost = lost;
  }

  /** Never throws. @param value what `perform` has returned. */
  finished(run: Run, value: unknown): FinishedJob {
    if (this.made) return this.made;
    const { rule } = this.options;
    const ending: Ending = {
      run: { at: Date.now(), attempt: run.attempt, ms: run.durationMs, host: HOST, pid: process.pid },
      ...this.result(run, value),
      ...(this.lost !== undefined && { lost: this.lost }),
      ...(this.lines.length > 0 && { log: this.lines }),
      ...(this.leftOut > 0 && { linesLeftOut: this.leftOut }),
    };
    return { id: run.id, ending: JSON.stringify(ending), keepMs: rule.ms, keepLimit: rule.limit };
  }

  private result({ id, class: name }: Run, value: unknown): Pick<Ending, 'result' | 'encrypted'> {
    const { codec, keys } = this.options;
    try {
      const stored = encodeResult(value, `the result of ${name}`, codec, { id, class: name, part: 'result', keys });
      const bytes = Buffer.byteLength(stored.result ?? '');
      if (bytes <= MAX_RESULT) return stored;
      this.lost = `the result of ${name} has ${bytes} bytes of JSON; at most ${MAX_RESULT} are kept`;
    } catch (thrown) {
      this.lost = storable(toError(thrown).message);
    }
    return {};
  }
}

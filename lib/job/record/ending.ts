import type { Attributes, JsonValue } from '../../core/execution-context';
import { isCount, isObject, isText, isTime } from '../../support/type-guards';
import { MissingKeyError } from '../definition/errors';
import { deserializeArguments } from './argument-decoder';
import { type ArgumentCodec, serializeResult } from './arguments';
import type { Keyring } from './encryption';
import { type FailedRun, isFailedRun } from './history';

/** What a job has returned, as it is stored; empty for undefined. */
export interface StoredResult {
  /** JSON, encoded as an argument; of a class that encrypts, as `Keyring` encrypts it. */
  readonly result?: string;
  /** true: `result` is encrypted. */
  readonly encrypted?: true;
}

/** What a result belongs to, and the keys by which it is encrypted; without keys it is stored plain. */
export interface ResultOwner {
  readonly id: string;
  readonly class: string;
  /** Which result of the job it is: encrypted ones cannot be exchanged. */
  readonly part: string;
  readonly keys: Keyring | undefined;
}

/** @throws TypeError that begins with `subject`, for a value that cannot travel. */
export function encodeResult(value: unknown, subject: string, codec: ArgumentCodec, owner: ResultOwner): StoredResult {
  if (value === undefined) return {};
  const json = serializeResult(subject, value, codec);
  const { keys } = owner;
  return keys ? { result: keys.encrypt([json], owner), encrypted: true } : { result: JSON.stringify(json) };
}

/** @throws MissingKeyError; UnreadableJobError; errors of the types of arguments, such as RecordGoneError. */
export async function decodeResult(stored: StoredResult, codec: ArgumentCodec, owner: ResultOwner): Promise<unknown> {
  const { result, encrypted } = stored;
  if (result === undefined) return undefined;
  const { keys } = owner;
  if (encrypted && !keys) throw new MissingKeyError(owner.class, result.split('.', 1)[0] ?? '');
  const json = encrypted && keys ? keys.decrypt(result, owner) : `[${result}]`;
  return (await deserializeArguments(JSON.parse(json) as JsonValue[], codec))[0];
}

/** A line that a job has written by `this.log`. */
export interface LogLine {
  /** ms since 1970. */
  readonly at: number;
  /** The line. */
  readonly text: string;
  /** What was given with it. */
  readonly fields?: Attributes;
}

/** The end of a job whose class has `keep`, as `ending` of its row. */
export interface Ending extends StoredResult {
  /** The run that has ended it. */
  readonly run: FailedRun;
  /** Why its result is not stored. */
  readonly lost?: string;
  /** The first lines of that run. */
  readonly log?: readonly LogLine[];
  /** Lines that had no room. */
  readonly linesLeftOut?: number;
}

/** Never throws: a text that makes no sense, which only somebody with access to Postgres can have written, has no values. */
export function readEnding(text: string): Partial<Ending> {
  try {
    const { run, result, encrypted, lost, log, linesLeftOut } = JSON.parse(text) as Partial<
      Record<keyof Ending, unknown>
    >;
    return {
      ...(isFailedRun(run) && { run }),
      ...(isText(result) && { result }),
      ...(encrypted === true && { encrypted }),
      ...(isText(lost) && { lost }),
      ...(Array.isArray(log) && { log: log.filter(isLine) }),
      ...(isCount(linesLeftOut) && { linesLeftOut }),
    };
  } catch {
    return {};
  }
}

function isLine(value: unknown): value is LogLine {
  if (!isObject(value)) return false;
  const { at, text, fields } = value as Partial<LogLine>;
  return isTime(at) && isText(text) && (fields === undefined || isObject(fields));
}

import type { ModelLookup } from '../../model/model-folder';
import type { JsonValue } from '../record/json';
import type { ArgumentSerializer } from '../setup';
import { ArgumentDecoder } from './argument-decoder';
import { ArgumentEncoder } from './argument-encoder';

/** What the app adds to the values that arguments may hold. */
export interface ArgumentCodec {
  /** For classes of the app's own. Asked in this order. */
  readonly serializers?: readonly ArgumentSerializer[] | undefined;
  /** Undefined: models are refused on their way in, and trusted to be known on their way out. */
  readonly models?: ModelLookup | undefined;
}

/**
 * The arguments of a job as they travel: JSON, with tags for Date, bigint, -0, models (by class and id) and what the
 * app's serializers take. Arguments that are JSON already are given back as they are.
 * @param jobName named in the error.
 * @throws TypeError that names the class, the argument (`argument 2 .user.tags[0]`) and what was found there.
 */
export function serializeArguments(
  jobName: string,
  args: readonly unknown[],
  codec: ArgumentCodec = {},
): readonly JsonValue[] {
  const encoder = new ArgumentEncoder(codec);
  let copy: JsonValue[] | undefined;
  for (let i = 0; i < args.length; i++) {
    const encoded = encoder.encode(args[i], () => `${jobName}: argument ${i + 1}`);
    if (encoded !== args[i]) copy ??= args.slice() as JsonValue[];
    if (copy) copy[i] = encoded;
  }
  return copy ?? (args as readonly JsonValue[]);
}

/**
 * The arguments as `perform` takes them. Models are loaded again, one query a class. A promise only where something
 * has to be waited for.
 * @throws RecordGoneError when a model's row is gone; UnreadableJobError for a tag without sense; Error for a model or
 * a serializer that is not in this app (an older process may have met a newer job).
 */
export function deserializeArguments(
  json: readonly JsonValue[],
  codec: ArgumentCodec = {},
): readonly unknown[] | Promise<readonly unknown[]> {
  return new ArgumentDecoder(codec).decode(json);
}

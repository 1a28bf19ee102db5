import type { Performable } from '../definition/job-class';
import type { ArgumentCodec } from '../record/arguments';
import { decodeResult, encodeResult, type ResultOwner } from '../record/ending';
import type { Run } from './run';
import { PERSISTED } from './steps';

/**
 * Gives a job the values of its `persisted` fields that its last run has left, and keeps those of this run whenever its checkpoint
 * is written, which happens at the end of each run that is not the last.
 * @throws errors of Postgres, and of the types of the values.
 */
export async function restorePersisted(
  job: Performable,
  fields: readonly string[],
  run: Run,
  codec: ArgumentCodec,
): Promise<void> {
  const values = job as unknown as Record<string, unknown>;
  const owner: ResultOwner = { id: run.id, class: run.class, part: 'persisted', keys: run.keys };
  const stored = await run.checkpoint.steps.stored(PERSISTED);
  const found = stored && 'persisted' in stored ? await decodeResult(stored.persisted, codec, owner) : {};
  for (const [field, value] of Object.entries(found as object)) if (fields.includes(field)) values[field] = value;
  run.checkpoint.persisted = () => {
    const kept = Object.fromEntries(
      fields.flatMap((field) => (values[field] === undefined ? [] : [[field, values[field]]])),
    );
    return { persisted: encodeResult(kept, `what ${run.class} has persisted`, codec, owner) };
  };
}

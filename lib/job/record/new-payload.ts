import { tracing } from '../../core/tracing';
import type { EnqueueRequest } from '../definition/job-class';
import { type Keyring, requireKeys } from './encryption';
import type { Payload } from './payload';

type NewJob = Pick<EnqueueRequest, 'id' | 'name' | 'args' | 'encrypt' | 'tags' | 'context' | 'expiresInMs'> &
  Partial<Pick<EnqueueRequest, 'unique' | 'batchId'>>;

/** The content of a new job. @throws UserError when there is no key to encrypt with. */
export function createPayload(job: NewJob, keys: Keyring | undefined): Payload {
  const { id, name, args, encrypt, tags, context, unique, expiresInMs, batchId } = job;
  const trace = tracing()?.carried;
  // It may come to belong to the job that it replaces.
  const sealedFor = encrypt && unique?.onConflict === 'replace' ? unique.key : undefined;
  const content = encrypt
    ? { args: [], encrypted: requireKeys(name, keys).encrypt(args, { id, class: name, sealedFor }) }
    : { args };
  return {
    v: sealedFor === undefined ? (encrypt ? 2 : 1) : 3,
    ...(sealedFor !== undefined && { sealedFor }),
    class: name,
    ...content,
    attrs: context,
    ...(trace && { trace }),
    ...(tags.length > 0 && { tags }),
    ...(unique && { unique: unique.until }),
    ...(expiresInMs !== undefined && { expiresInMs }),
    ...(batchId !== undefined && { batch: batchId }),
    enqueuedAt: Date.now(),
  };
}

import { randomUUID } from 'node:crypto';
import { type Attributes, currentContext } from '../../core/execution-context';
import { currentTransaction } from '../../model/transaction';
import { planOf } from '../perform/class-plan';
import { serializeArguments } from './arguments';
import type { JobEquipment } from './connection';
import type { PreparedJob } from './prepared-job';
import type { CarriedContext, EnqueueRequest } from './request';
import { runAt } from './run-at';
import { uniqueClaim } from './unique-key';

/** Postgres could not read others again. */
const TAG = /^[^\p{Cc}\p{Cs}]{1,200}$/u;
const NO_TAGS: readonly string[] = Object.freeze([]);

/**
 * Requests for these jobs, each with an id of its own. Nothing is enqueued yet.
 * @throws TypeError for arguments that cannot travel, or options that make no sense.
 */
export function newRequests(jobs: readonly PreparedJob[], { setup, models }: JobEquipment): EnqueueRequest[] {
  const codec = { serializers: setup?.serializers, models };
  const context = carriedContext();
  const ambient = currentTransaction();
  return jobs.map(({ jobClass, args, options }) => {
    const { name, unique } = planOf(jobClass);
    return {
      id: randomUUID(),
      jobClass,
      name,
      args: serializeArguments(name, args, codec),
      queue: options.queue ?? jobClass.queue,
      durable: jobClass.durable,
      runAt: runAt(options.wait, options.waitUntil),
      trx: options.trx ?? ambient,
      unique: unique && uniqueClaim(unique, name, args, codec),
      tags: allTags(name, jobClass.tags, options.tags),
      context,
    };
  });
}

type Tags = readonly string[] | undefined;

/** @throws TypeError that names the class and the tag. */
function allTags(name: string, ofClass: Tags, given: Tags): readonly string[] {
  if (!ofClass && !given) return NO_TAGS;
  const tags = [...new Set([...(ofClass ?? []), ...(given ?? [])])];
  for (const tag of tags) {
    if (typeof tag === 'string' && TAG.test(tag)) continue;
    throw new TypeError(`${name}: a tag is ${JSON.stringify(tag)}; give text of 1 to 200 characters on one line`);
  }
  return tags;
}

function carriedContext(): CarriedContext {
  const { requestId, locale, attributes } = currentContext();
  if (attributes) checkAttributes(attributes);
  return {
    ...(requestId !== undefined && { requestId }),
    ...(locale !== undefined && { locale }),
    ...(attributes !== undefined && { attributes }),
  };
}

const checked = new WeakSet<Attributes>();

/** Once per context, not per job. @throws TypeError for attributes that are not JSON. */
function checkAttributes(attributes: Attributes): void {
  if (checked.has(attributes)) return;
  for (const [name, value] of Object.entries(attributes)) {
    const [json] = serializeArguments(`withAttributes: ${name}`, [value]);
    if (json !== value) throw new TypeError(`withAttributes: ${name} is no plain JSON; attributes travel as they are`);
  }
  checked.add(attributes);
}

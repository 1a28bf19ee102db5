import type { Model } from 'objection';
import type { JsonValue } from '../record/json';

/**
 * What travels although JSON has no form for it. Name here what your own serializers take:
 * `declare module 'catamount' { interface SerializableTypes { money: Money } }`.
 */
export interface SerializableTypes {
  date: Date;
  bigint: bigint;
  /** By class and id: loaded again before the job is performed. */
  model: Model;
}

/** What a job may be given. */
export type JobArgument =
  | JsonValue
  | SerializableTypes[keyof SerializableTypes]
  | readonly JobArgument[]
  | { readonly [key: string]: JobArgument };

/** undefined stands for an optional argument that is left out; it cannot be passed. */
export type JobArguments = readonly (JobArgument | undefined)[];

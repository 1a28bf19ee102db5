import { UserError } from '../core/errors';
import { checkSetup, isArrayOf, isFunction, isObject, type SetupParts } from '../core/setup-check';
import type { JobSetup } from './setup';

const PARTS: SetupParts<JobSetup> = {
  enqueueMiddleware: ['an array of functions', isArrayOf(isFunction)],
  performMiddleware: ['an array of functions', isArrayOf(isFunction)],
  reportError: ['a function', isFunction],
  serializers: ['an array of objects with name, matches, serialize and deserialize', isArrayOf(isSerializer)],
  filterArguments: ['an array of texts and regular expressions', isArrayOf(isFilter)],
};

/**
 * @param where the setup comes from, named in errors.
 * @throws UserError that names the part, and says what it should be.
 */
export function checkJobSetup(value: unknown, where: string): JobSetup {
  const setup = checkSetup<JobSetup>(value, where, 'a job setup', PARTS);
  const names = (setup.serializers ?? []).map((serializer) => serializer.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UserError(`${where}: two serializers are named ${twice}; what travels is told by it`);
  return setup;
}

function isFilter(value: unknown): boolean {
  return typeof value === 'string' || value instanceof RegExp;
}

function isSerializer(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { name, matches, serialize, deserialize } = value as Readonly<Record<string, unknown>>;
  return typeof name === 'string' && name !== '' && [matches, serialize, deserialize].every(isFunction);
}

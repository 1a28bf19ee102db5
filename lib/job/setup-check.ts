import { UserError } from '../core/errors';
import type { JobSetup } from './setup';

/** What each part of a setup has to be; typed so that none is forgotten. */
const PARTS: { readonly [K in keyof Required<JobSetup>]: readonly [what: string, is: (value: unknown) => boolean] } = {
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
  if (!isObject(value)) throw new UserError(`${where} must default-export an object; it is ${described(value)}`);
  for (const [name, part] of Object.entries(value)) {
    if (part === undefined) continue;
    if (!Object.hasOwn(PARTS, name)) {
      throw new UserError(`${where}: there is no ${name} in a job setup; it may have ${Object.keys(PARTS).join(', ')}`);
    }
    const [what, is] = PARTS[name as keyof JobSetup];
    if (!is(part)) throw new UserError(`${where}: ${name} is ${described(part)}; give ${what}`);
  }
  const { serializers = [] } = value as JobSetup;
  const names = serializers.map((serializer) => serializer.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new UserError(`${where}: two serializers are named ${twice}; what travels is told by it`);
  return value;
}

function isArrayOf(is: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.every(is);
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFilter(value: unknown): boolean {
  return typeof value === 'string' || value instanceof RegExp;
}

function isSerializer(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { name, matches, serialize, deserialize } = value as Readonly<Record<string, unknown>>;
  return typeof name === 'string' && name !== '' && [matches, serialize, deserialize].every(isFunction);
}

function described(value: unknown): string {
  if (Array.isArray(value)) return value.every(isFunction) ? 'an array' : 'an array with something else in it';
  return value === null ? 'null' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

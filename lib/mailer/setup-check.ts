import { checkSetup, isArrayOf, isFunction, type SetupParts } from '../core/setup-check';
import type { MailSetup } from './setup';

const PARTS: SetupParts<MailSetup> = {
  interceptors: ['an array of functions', isArrayOf(isFunction)],
  observers: ['an array of functions', isArrayOf(isFunction)],
  render: ['a function', isFunction],
};

/**
 * @param where the setup comes from, named in errors.
 * @throws UserError that names the part, and says what it should be.
 */
export function checkMailSetup(value: unknown, where: string): MailSetup {
  return checkSetup<MailSetup>(value, where, 'a mail setup', PARTS);
}

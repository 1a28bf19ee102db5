import { type ParseArgsConfig, parseArgs } from 'node:util';
import { didYouMean } from '../support/did-you-mean';
import { toError } from '../support/to-error';
import { EXIT, UserError } from './errors';

/** If a command has more options than this, an error does not list them. Its help does. */
const MAX_LISTED = 5;

/**
 * Parses what was typed after a command, as `util.parseArgs` does.
 * @param command as it is typed after `catamount`: `check`.
 * @throws UserError with the exit code for wrong usage, in one sentence.
 */
export function readArguments<const T extends ParseArgsConfig>(
  command: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (thrown) {
    throw wrongArguments(command, config, thrown);
  }
}

/**
 * Says in one sentence what is wrong with the arguments of a command, and what may have been meant. Node's own message
 * has several, about a syntax of which the user need not know.
 * @param thrown the error of `parseArgs` for this configuration.
 */
export function wrongArguments(command: string, config: ParseArgsConfig, thrown: unknown): UserError {
  const { args = [], options = {}, allowPositionals = false } = config;
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'positional' && !allowPositionals) return surplusWord(command, token.value);
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    const type = Object.hasOwn(options, name) ? options[name]?.type : undefined;
    if (type === undefined) return wrongUsage(command, unknownOption(command, rawName, Object.keys(options)));
    if (type === 'boolean' && value !== undefined)
      return wrongUsage(command, `--${name} of ${command} takes no value, but was given ${JSON.stringify(value)}.`);
    // A value that looks like an option is one, unless it follows an equals sign.
    const isMissing = value === undefined || (inlineValue === false && /^-./.test(value));
    if (type === 'string' && isMissing) return wrongUsage(command, `--${name} of ${command} needs a value.`);
  }
  return wrongUsage(command, `${command}: ${toError(thrown).message}.`);
}

/** @returns an error that says that a command was given one word too many. */
export function surplusWord(command: string, word: string): UserError {
  return wrongUsage(command, `Unexpected argument ${JSON.stringify(word)} for ${command}.`);
}

function unknownOption(command: string, given: string, names: readonly string[]): string {
  const meant = didYouMean(given.replace(/^-+/, ''), names);
  if (meant !== undefined) return `${command} has no option ${given}. Did you mean --${meant}?`;
  const listed = names.filter((name) => name !== 'help').map((name) => `--${name}`);
  if (listed.length === 0 || listed.length > MAX_LISTED) return `${command} has no option ${given}.`;
  return `${command} has no option ${given}; it has ${listed.join(', ')}.`;
}

function wrongUsage(command: string, sentence: string): UserError {
  return new UserError(`${sentence} See catamount help ${command}.`, EXIT.usage);
}

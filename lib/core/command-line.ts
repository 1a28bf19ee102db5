import { type ParseArgsConfig, parseArgs } from 'node:util';
import { toError } from '../support/async';
import { didYouMean } from '../support/text';
import { EXIT, UserError } from './errors';

/** A command with more options than these lists none of them in a sentence; its help does. */
const MOST_LISTED = 5;

/**
 * Reads what was typed behind a command, as `util.parseArgs` does.
 * @param command as it is typed behind `catamount`: `check`.
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
 * Says in one sentence what is wrong with what was typed behind a command, and what may have been meant. Node's own message
 * has several, about a syntax that nobody has asked for.
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
      return wrongUsage(command, `--${name} of ${command} takes no value, and was given ${JSON.stringify(value)}.`);
    // What looks like an option is one, unless it is written behind an equals sign.
    const isMissing = value === undefined || (inlineValue === false && /^-./.test(value));
    if (type === 'string' && isMissing) return wrongUsage(command, `--${name} of ${command} needs a value.`);
  }
  return wrongUsage(command, `${command}: ${toError(thrown).message}.`);
}

/** Says that a command was given a word more than it takes. */
export function surplusWord(command: string, word: string): UserError {
  return wrongUsage(command, `${JSON.stringify(word)} is too much for ${command}.`);
}

function unknownOption(command: string, given: string, names: readonly string[]): string {
  const meant = didYouMean(given.replace(/^-+/, ''), names);
  if (meant !== undefined) return `${command} has no option ${given}. Did you mean --${meant}?`;
  const listed = names.filter((name) => name !== 'help').map((name) => `--${name}`);
  if (listed.length === 0 || listed.length > MOST_LISTED) return `${command} has no option ${given}.`;
  return `${command} has no option ${given}; it has ${listed.join(', ')}.`;
}

function wrongUsage(command: string, sentence: string): UserError {
  return new UserError(`${sentence} See catamount help ${command}.`, EXIT.usage);
}

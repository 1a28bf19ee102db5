import { EXIT, UserError } from '../../core/errors';
import { kebabCase, pascalCase } from '../../support/class-names';

/** One name in the spellings that files, classes, tables and texts need. */
export interface Name {
  /** `UserProfile`. */
  readonly pascal: string;
  /** `userProfile`. */
  readonly camel: string;
  /** `user-profile`. */
  readonly kebab: string;
  /** `user_profile`. */
  readonly snake: string;
  /** `User profile`. */
  readonly human: string;
}

const WORD = /^[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*$/;
/** Words that cannot name a class or a method. */
const RESERVED = new Set(
  (
    'abstract arguments await boolean break case catch class const constructor continue debugger default delete do ' +
    'else enum eval export extends false finally for function if implements import in instanceof interface let new ' +
    'null object package private protected prototype public return static string super switch symbol this throw true ' +
    'try typeof undefined var void while with yield'
  ).split(' '),
);

/**
 * Reads a name in any of its spellings: `WelcomeEmail`, `welcomeEmail`, `welcome-email`, `welcome_email`.
 * @param what the kind of thing, for the message: `job`. @param suffix an optional ending of the name: `Job`.
 * @throws UserError that says what a name looks like.
 */
export function parseName(what: string, given: string | undefined, example: string, suffix = ''): Name {
  if (given === undefined) {
    throw new UserError(`A ${what} needs a name. For example: catamount generate ${what} ${example}`, EXIT.usage);
  }
  const whole = kebabCase(given).replaceAll('_', '-');
  const ending = kebabCase(suffix);
  const kebab = ending !== '' && whole.endsWith(`-${ending}`) ? whole.slice(0, -ending.length - 1) : whole;
  const isBare = kebab === ending;
  if (!WORD.test(given) || isBare || RESERVED.has(kebab)) {
    const told =
      isBare || RESERVED.has(kebab)
        ? `is reserved. Give the ${what} another name, such as ${example}.`
        : `is not a name. Name the ${what} in letters and digits, beginning with a letter, such as ${example}.`;
    throw new UserError(`${JSON.stringify(given)} ${told}`, EXIT.usage);
  }
  const pascal = pascalCase(kebab);
  const snake = kebab.replaceAll('-', '_');
  return {
    pascal,
    camel: `${pascal.charAt(0).toLowerCase()}${pascal.slice(1)}`,
    kebab,
    snake,
    human: `${snake.charAt(0).toUpperCase()}${snake.slice(1).replaceAll('_', ' ')}`,
  };
}

/** @returns the error for a name that is in use. @param clash the other thing, such as `There already is a class User`. */
export function nameTaken(what: string, clash: string): UserError {
  return new UserError(`${clash}. Give the ${what} another name.`, EXIT.usage);
}

/** @throws UserError for a name that is given twice. */
export function requireOnce(what: string, names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UserError(`The ${what} ${twice} is given twice. Give it once.`, EXIT.usage);
}

/** Forms the plural of the last word by the regular rules of English: `user_stories`, `boxes`, `posts`. */
export function plural(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  if (/(?:s|x|z|ch|sh)$/.test(word)) return `${word}es`;
  return `${word}s`;
}

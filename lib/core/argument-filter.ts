import type { JsonValue } from './json';

/** Stands where a value is hidden. */
export const HIDDEN = '[FILTERED]';
/** Text, arrays and objects are shown up to these lengths, and nothing below this many levels. */
const MAX_TEXT = 200;
const MAX_ITEMS = 20;
const MAX_KEYS = 50;
const MAX_DEPTH = 8;
/** Keys whose answer is remembered. */
const MAX_REMEMBERED = 1000;

/** As parts of a key: `accessToken`, `access_token` and `ACCESS-TOKEN` have the part token, `tokenizer` has not. */
const USUAL_NAMES = [
  'password',
  'passwd',
  'passphrase',
  'secret',
  'token',
  'api key',
  'authorization',
  'credential',
  'private key',
  'ssn',
  'card number',
  'cvv',
  'cvc',
  'otp',
];

/** The classes whose arguments are shown, as far as showing goes. */
interface Showable {
  readonly logArguments?: boolean;
}

/**
 * Makes arguments fit to be seen, in log lines, error reports and the operator's pages: hides the values of telling keys
 * at any depth, and cuts what is long. What has no key, such as an address given as an argument of its own, is shown: a
 * class that is given such things says `static logArguments = false`.
 */
export class ArgumentFilter {
  private readonly usual: RegExp;
  private readonly patterns: readonly RegExp[];
  private readonly remembered = new Map<string, boolean>();

  /** @param more names, matched as the usual ones are, or patterns for the key as it is. */
  constructor(more: readonly (string | RegExp)[] = []) {
    const names = [...USUAL_NAMES, ...more.filter((item) => typeof item === 'string')];
    // A part may be in the plural, and `apikey` is `api_key`.
    const alternatives = names.map((name) => words(name).join('_?')).filter((name) => name !== '');
    this.usual = new RegExp(`_(?:${alternatives.join('|')})s?_`);
    // Without g and y, whose matches depend on the one before.
    this.patterns = more
      .filter((item) => item instanceof RegExp)
      .map((pattern) => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')));
  }

  /** @returns undefined for a class that shows none, and for one that is not known. */
  show(jobClass: Showable | undefined, args: readonly JsonValue[]): readonly JsonValue[] | undefined {
    if (!jobClass || jobClass.logArguments === false) return undefined;
    return this.filter(args);
  }

  filter(args: readonly JsonValue[]): readonly JsonValue[] {
    return this.array(args, 0);
  }

  private value(value: JsonValue, depth: number): JsonValue {
    if (typeof value === 'string') return shortened(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth >= MAX_DEPTH) return '…';
    return isArray(value) ? this.array(value, depth) : this.object(value, depth);
  }

  private array(items: readonly JsonValue[], depth: number): JsonValue[] {
    const shown = items.slice(0, MAX_ITEMS).map((item) => this.value(item, depth + 1));
    if (items.length > MAX_ITEMS) shown.push(`… ${items.length - MAX_ITEMS} more`);
    return shown;
  }

  private object(object: { readonly [key: string]: JsonValue }, depth: number): JsonValue {
    const keys = Object.keys(object);
    const shown = keys
      .slice(0, MAX_KEYS)
      .map((key): [string, JsonValue] => [
        shortened(key),
        this.hides(key) ? HIDDEN : this.value(object[key] as JsonValue, depth + 1),
      ]);
    if (keys.length > MAX_KEYS) shown.push(['…', `${keys.length - MAX_KEYS} more`]);
    return Object.fromEntries(shown);
  }

  private hides(key: string): boolean {
    const known = this.remembered.get(key);
    if (known !== undefined) return known;
    const hidden = this.usual.test(`_${words(key).join('_')}_`) || this.patterns.some((pattern) => pattern.test(key));
    if (this.remembered.size < MAX_REMEMBERED) this.remembered.set(key, hidden);
    return hidden;
  }
}

/** `APIKey2` and `api_key_2` are `api`, `key`, `2`. */
function words(name: string): string[] {
  return name
    .replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .replace(/(\p{L})(\d)/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

function shortened(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}… (${text.length} characters)`;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

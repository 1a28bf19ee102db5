import type { JsonValue } from './execution-context';

export const REDACTED = '[FILTERED]';
/** Maximum lengths of texts, arrays and objects that are shown, and the number of levels. */
export interface ShownLengths {
  readonly text: number;
  readonly items: number;
  readonly keys: number;
  readonly depth: number;
}

/** Limits for log lines, error reports and lists. */
const SHORT: ShownLengths = { text: 200, items: 20, keys: 50, depth: 8 };
/** Limits for the page of one job, which shows everything that a page can hold. */
export const WHOLE: ShownLengths = { text: 100_000, items: 10_000, keys: 10_000, depth: 100 };
const MAX_REMEMBERED = 1000;

/**
 * Sensitive parts of keys: `accessToken`, `access_token` and `ACCESS-TOKEN` have the part token, `tokenizer` has not.
 */
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

/** The property of a class that says whether its arguments may be shown. */
interface Showable {
  readonly logArguments?: boolean;
  readonly encrypt?: boolean;
}

/**
 * Redacts arguments for log lines, error reports and the operator's pages: it hides values of sensitive keys at any
 * depth, and shortens long values. A value without a key, such as an address that is an argument of its own, is shown;
 * a class with such arguments sets `static logArguments = false`.
 */
export class Redactor {
  private readonly usual: RegExp;
  private readonly patterns: readonly RegExp[];
  private readonly remembered = new Map<string, boolean>();

  /** @param more names, matched like the usual ones, or patterns for the whole key. */
  constructor(more: readonly (string | RegExp)[] = []) {
    const names = [...USUAL_NAMES, ...more.filter((item) => typeof item === 'string')];
    // A part may be plural, and `apikey` equals `api_key`.
    const alternatives = names.map((name) => words(name).join('_?')).filter((name) => name !== '');
    this.usual = new RegExp(`_(?:${alternatives.join('|')})s?_`);
    // Flags g and y are removed, since with them a match depends on the previous one.
    this.patterns = more
      .filter((item) => item instanceof RegExp)
      .map((pattern) => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')));
  }

  /** @returns the redacted arguments; undefined for a class that shows none, and for an unknown one. */
  show(jobClass: Showable | undefined, args: readonly JsonValue[]): readonly JsonValue[] | undefined {
    if (!jobClass || jobClass.logArguments === false || jobClass.encrypt) return undefined;
    return this.filter(args);
  }

  /** Redacts values. @param lengths limits of what is shown. Default: those for a line. */
  filter(args: readonly JsonValue[], lengths: ShownLengths = SHORT): readonly JsonValue[] {
    return this.array(args, 0, lengths);
  }

  private value(value: JsonValue, depth: number, lengths: ShownLengths): JsonValue {
    if (typeof value === 'string') return shortened(value, lengths);
    if (typeof value !== 'object' || value === null) return value;
    if (depth >= lengths.depth) return '…';
    return isArray(value) ? this.array(value, depth, lengths) : this.object(value, depth, lengths);
  }

  private array(items: readonly JsonValue[], depth: number, lengths: ShownLengths): JsonValue[] {
    const shown = items.slice(0, lengths.items).map((item) => this.value(item, depth + 1, lengths));
    if (items.length > lengths.items) shown.push(`… ${items.length - lengths.items} more`);
    return shown;
  }

  private object(object: { readonly [key: string]: JsonValue }, depth: number, lengths: ShownLengths): JsonValue {
    const keys = Object.keys(object);
    const shown = keys
      .slice(0, lengths.keys)
      .map((key): [string, JsonValue] => [
        shortened(key, lengths),
        this.hides(key) ? REDACTED : this.value(object[key] as JsonValue, depth + 1, lengths),
      ]);
    if (keys.length > lengths.keys) shown.push(['…', `${keys.length - lengths.keys} more`]);
    return Object.fromEntries(shown);
  }

  private hides(key: string): boolean {
    const remembered = this.remembered.get(key);
    if (remembered !== undefined) return remembered;
    const hidden = this.usual.test(`_${words(key).join('_')}_`) || this.patterns.some((pattern) => pattern.test(key));
    if (this.remembered.size < MAX_REMEMBERED) this.remembered.set(key, hidden);
    return hidden;
  }
}

/**
 * A user and a password before the @ of a URL. A password may contain / and ?. The URL is then invalid, and the error that says
 * so contains the password. URLs of the web are an exception, since their paths often contain a colon and an @.
 */
const IN_URL =
  /((?<=\bhttps?):\/\/[^\s/?#:@"'\\]{0,200}:)[^\s/?#"'\\]{1,500}@|((?<!\bhttps?):\/\/[^\s/?#:@"'\\]{0,200}:)[^\s"'\\]{1,500}@/g;

/** Hides the passwords of URLs in a text, such as the message of an error or a line of the log. */
export function withoutPasswords(text: string): string {
  return text.replace(IN_URL, `$1$2${REDACTED}@`);
}

/** Splits a key into words: `APIKey2` and `api_key_2` are `api`, `key`, `2`. */
function words(name: string): string[] {
  return name
    .replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .replace(/(\p{L})(\d)/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

function shortened(text: string, { text: longest }: ShownLengths): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length} characters)`;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}

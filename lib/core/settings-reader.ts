import { parseDuration } from '../support/duration';
import { EXIT, UserError } from './errors';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Complaint {
  readonly variable: string;
  /** null: the variable is missing. */
  readonly value: string | null;
  readonly allowed: string;
}

/** All wrong settings in one message. Exit code 78. */
export class ConfigError extends UserError {
  override readonly name = 'ConfigError';

  constructor(readonly complaints: readonly Complaint[]) {
    const width = Math.max(...complaints.map((complaint) => complaint.variable.length));
    const lines = complaints.map(({ variable, value, allowed }) => {
      const found = value === null ? 'is not set' : `is ${JSON.stringify(value)}`;
      return `  ${variable.padEnd(width)}  ${found}; it must be ${allowed}`;
    });
    const count = complaints.length === 1 ? 'a setting is wrong' : `${complaints.length} settings are wrong`;
    super(`Catamount cannot start: ${count}.\n${lines.join('\n')}`, EXIT.config);
  }
}

/** What a variable may hold. */
export interface Kind<T> {
  /** Ends the sentence about a wrong value: `it must be …`. */
  readonly allowed: string;
  /** @returns undefined for a wrong value. */
  readonly parse: (text: string) => T | undefined;
  /** true: a wrong value is not shown. */
  readonly isSecret?: boolean;
}

export function kind<T>(allowed: string, parse: Kind<T>['parse']): Kind<T> {
  return { allowed, parse };
}

export function secret<T>(of: Kind<T>): Kind<T> {
  return { ...of, isSecret: true };
}

export function text(allowed: string, is: RegExp | ((text: string) => boolean)): Kind<string> {
  const fits = typeof is === 'function' ? is : (value: string) => is.test(value);
  return kind(allowed, (value) => (fits(value) ? value : undefined));
}

export function oneOf<const T extends string>(...values: T[]): Kind<T> {
  const allowed = values.join(', ').replace(/, (\S+)$/, ' or $1');
  return kind(allowed, (value) => values.find((each) => each === value));
}

export function whole(min: number, max: number, allowed = `a whole number from ${min} to ${max}`): Kind<number> {
  return kind(allowed, (value) => within(/^\d+$/.test(value) ? Number(value) : undefined, min, max));
}

/** @param examples ends the sentence `seconds, or a time such as …`. */
export function time(minMs: number, maxMs: number, examples: string): Kind<number> {
  const allowed = `seconds, or a time such as ${examples}`;
  return kind(allowed, (value) => within(parseDuration(value, 's'), minMs, maxMs));
}

/** A URL with one of these protocols, such as `smtp:`. */
export function url(allowed: string, ...protocols: string[]): Kind<string> {
  return text(allowed, (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol));
}

export function within(value: number | undefined, min: number, max: number): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

/** Reads variables one by one and collects complaints, to report all of them together. An empty variable is unset. */
export class SettingsReader {
  private readonly complaints: Complaint[] = [];

  constructor(private readonly env: Environment) {}

  has(variable: string): boolean {
    return this.raw(variable) !== undefined;
  }

  /** @returns the text of a variable, trimmed; undefined when it is unset or empty. */
  raw(variable: string): string | undefined {
    return this.env[variable]?.trim() || undefined;
  }

  /** @returns the parsed value, or `fallback` when the variable is unset, or is wrong, which adds a complaint. */
  get<T, F>(variable: string, { parse, allowed, isSecret }: Kind<T>, fallback: F): T | F {
    const given = this.raw(variable);
    if (given === undefined) return fallback;
    const value = parse(given);
    if (value === undefined) this.complain(variable, isSecret ? hideSecret(given) : given, allowed);
    return value === undefined ? fallback : value;
  }

  require(variable: string, allowed: string): void {
    // A wrong value has a complaint already.
    if (!this.has(variable)) this.complaints.push({ variable, value: null, allowed });
  }

  complain(variable: string, value: string, allowed: string): void {
    this.complaints.push({ variable, value, allowed });
  }

  throwIfAnyComplaint(): void {
    if (this.complaints.length > 0) throw new ConfigError(this.complaints);
  }
}

/**
 * Shows just enough of a secret to recognise the mistake: the scheme of a URL, or the length. Not the host, since
 * that may be a part of a password with an unescaped character.
 */
function hideSecret(value: string): string {
  return URL.canParse(value) ? `${new URL(value).protocol}//…` : `<${value.length} characters>`;
}

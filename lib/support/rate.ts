import { parseDuration } from './duration';

/** So many in so long. */
export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

/** @returns undefined for what is no rate such as `60/1h`, of a second to a day. */
export function parseRate(text: string): Rate | undefined {
  const [, count, per = ''] = /^([1-9]\d{0,8})\s*\/\s*(\S.*)$/.exec(text.trim()) ?? [];
  const seconds = (parseDuration(per, 's') ?? 0) / 1000;
  return count !== undefined && Number.isInteger(seconds) && seconds >= 1 && seconds <= 86_400
    ? { count: Number(count), seconds }
    : undefined;
}

import type { Death, NextTry } from '../../cluster/tree-picture';
import { workWords } from '../page/doings';
import { sentences, type Words } from './words';

const LONGEST = 90;

/** How it died, and what comes next: "Loop blocked for 10 s in POST /imports. Killed; starting, try 2." */
export function deathWords(death: Death | null, next: NextTry | null, words: Words): string {
  return sentences(death && causeWords(death, words), next && nextWords(next, words));
}

/** Why it died, in a sentence. */
export function causeWords({ reason, words: last, silentMs, doing }: Death, words: Words): string {
  const { t, veiled } = words;
  if (reason === 'timeout' && silentMs !== null) {
    const span = words.seconds(silentMs);
    return doing === null || veiled
      ? t('overview.death.blocked', { span })
      : t('overview.death.blockedIn', { span, doing: cut(workWords(doing, t)) });
  }
  const signal = /^it was ended by (SIG\w+)$/.exec(last)?.[1];
  if (signal !== undefined) return t('overview.death.signal', { signal });
  if (reason === 'timeout') return t('overview.death.slowBoot');
  if (veiled) return t(`overview.death.${reason === 'boot' ? 'boot' : 'crash'}`);
  return t(`overview.death.${reason === 'boot' ? 'bootBy' : 'crashBy'}`, { words: cut(last) });
}

function nextWords({ at, attempt }: NextTry, words: Words): string {
  const { t, now } = words;
  return Date.parse(at) > now.getTime()
    ? t('overview.next.waits', { span: words.until(at), attempt })
    : t('overview.next.starts', { attempt });
}

function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}

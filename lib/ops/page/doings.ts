import type { Translate } from '../../core/i18n';

/** What a process has in hand, as it tells it: a request stays as it is, a job is told in the reader's words. */
export function workWords(what: string, t: Translate): string {
  const [, name, queue] = /^([\w$]+) on ([\w-]+)$/.exec(what) ?? [];
  return name === undefined ? what : t('work.job', { class: name, queue });
}

/** Who has asked for something, as the log tells it; in the reader's words. */
export function viaWords(via: string, t: Translate): string {
  const address = /^the operator's pages, (.+)$/.exec(via)?.[1];
  if (address !== undefined) return t('via.pages', { address });
  const user = /^cli \((.*)\)$/.exec(via)?.[1];
  if (user !== undefined) return t('via.cli', { user });
  return via === 'the control socket' ? t('via.socket') : via;
}

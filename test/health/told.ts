import assert from 'node:assert/strict';
import { catamountWith } from '../cluster/primary/operator';
import type { Tree } from '../support/tree';

/** What a page or a command says of a tree's health: the title, and a line for each issue. */
export interface Told {
  readonly title: string;
  readonly lines: readonly string[];
}

/** @param headers let in, and choose the language. */
export async function toldByPage(
  tree: Tree,
  headers: Readonly<Record<string, string>>,
  locale: 'en' | 'ko' = 'en',
): Promise<Told> {
  // A blocked worker may have got the connection: whoever looks reloads the page.
  const asked = { headers: { ...headers, 'accept-language': locale }, timeoutMs: 5000 };
  const { status, body } = await tree.request('GET', '/ops', asked);
  assert.equal(status, 200);
  assert.match(body, new RegExp(`<html lang="${locale}"`));
  const [section = ''] = /<section class="verdict".*?<\/section>/s.exec(body) ?? [];
  const [, title = ''] = /<h1[^>]*>(.*?)<\/h1>/s.exec(section) ?? [];
  const items = [...section.matchAll(/<a\s+class="plain"[^>]*>(.*?)<\/a>\s*<span[^>]*>(.*?)<\/span>\s*<\/span>/gs)];
  return { title: plain(title), lines: items.map(([, head, rest]) => plain(`${head} ${rest}`)) };
}

/** @param env with which the command reaches the tree's servers. @returns also its exit code. */
export async function toldByCommand(
  tree: Tree,
  env: Readonly<Record<string, string>>,
  command: 'status' | 'top',
): Promise<Told & { readonly code: number | null; readonly stdout: string }> {
  const { code, stdout } = await catamountWith(env, tree.cwd, command);
  const [, title = '', ...rest] = stdout.split('\n');
  const end = rest.findIndex((line) => !line.startsWith('  '));
  const lines = rest.slice(0, end === -1 ? rest.length : end).map(squeezed);
  return { title: squeezed(title.replace(/^[!~] /, '').replace(/[.:]$/, '')), lines, code, stdout };
}

export function plain(html: string): string {
  const text = html
    .replace(/<[^>]+>/g, '')
    .replaceAll('&#39;', "'")
    .replaceAll('&#34;', '"')
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
  return squeezed(text);
}

export function squeezed(text: string): string {
  return text.replace(/[\s\u00a0]+/g, ' ').trim();
}

/** Without durations, which grow between two looks. */
export function timeless(line: string): string {
  return line.replace(/\d+(?:\.\d+)? ?(?:ms|s|min|h|d|초|분|시간|일)(?: \d+ ?(?:s|min|초|분))?(?![\p{L}])/gu, '…');
}

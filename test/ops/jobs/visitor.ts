import assert from 'node:assert/strict';
import type { Answer } from '../../support/http';
import { type OpsWeb, SIGNED, tokenIn } from '../ops-web';

export const OPERATOR = SIGNED.OPS_PASSWORD;
export const VIEWER = SIGNED.OPS_VIEWER_PASSWORD;

/** A signed-in user with a browser. */
export class Visitor {
  private constructor(
    private readonly ops: OpsWeb,
    readonly cookies: string,
  ) {}

  static async signIn(ops: OpsWeb, password: string): Promise<Visitor> {
    return new Visitor(ops, await ops.signIn(password));
  }

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ops.get(path, { Cookie: this.cookies, ...headers });
  }

  /** The visible text of a page. */
  async read(path: string, status = 200): Promise<string> {
    const answer = await this.get(path);
    assert.equal(answer.status, status, `${path}: ${answer.body.slice(0, 2000)}`);
    return textOf(answer.body);
  }

  async json<T>(path: string): Promise<T> {
    const answer = await this.get(path, { Accept: 'application/json' });
    assert.equal(answer.status, 200, answer.body);
    return answer.json<T>();
  }

  /** Submits a form with the token of a page. An array stands for several values of one name. */
  async post(path: string, fields: Readonly<Record<string, string | readonly string[]>> = {}): Promise<Answer> {
    const token = tokenIn((await this.get('/ops/jobs/classes')).body);
    return this.send(path, { token, ...fields });
  }

  /** Sends any form, without adding a token. */
  send(
    path: string,
    fields: Readonly<Record<string, string | readonly string[]>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) for (const each of [value].flat()) form.append(name, each);
    return this.ops.post(path, form, { Cookie: this.cookies, ...headers });
  }

  /** Submits a form and follows the redirect. @returns the text of the page that reports the result. */
  async act(path: string, fields: Readonly<Record<string, string | readonly string[]>> = {}): Promise<string> {
    const answer = await this.post(path, fields);
    assert.equal(answer.status, 303, textOf(answer.body));
    return textOf((await this.get(answer.headers.location ?? '')).body);
  }
}

/** The text without tags, with white space collapsed. */
export function textOf(html: string): string {
  const [, main = html] = /<main[^>]*>([\s\S]*)<\/main>/.exec(html) ?? [];
  return main
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&#34;|&quot;/g, '"')
    .replace(/&amp;/g, '&')
    .replace(/\s+/g, ' ')
    .trim();
}

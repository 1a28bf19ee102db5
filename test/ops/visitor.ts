import assert from 'node:assert/strict';
import type { Answer } from '../support/http';
import { type OpsWeb, SIGNED, tokenIn } from './ops-web';
import { type PageView, textOf, viewOf } from './page-view';

export const OPERATOR = SIGNED.OPS_PASSWORD;

type Fields = Readonly<Record<string, string | readonly string[]>>;

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

  async view(path: string, status = 200): Promise<PageView> {
    const answer = await this.get(path);
    assert.equal(answer.status, status, `${path}: ${answer.body.slice(0, 2000)}`);
    return viewOf(answer.body);
  }

  /** The visible text of a page. */
  async read(path: string, status = 200): Promise<string> {
    return (await this.view(path, status)).text;
  }

  async json<T>(path: string): Promise<T> {
    const answer = await this.get(path, { Accept: 'application/json' });
    assert.equal(answer.status, 200, answer.body);
    return answer.json<T>();
  }

  /** A token for forms. */
  async token(): Promise<string> {
    return tokenIn((await this.get('/ops/mail/deliveries')).body);
  }

  /** Submits a form with the token of a page. An array stands for several values of one name. */
  async post(path: string, fields: Fields = {}): Promise<Answer> {
    return this.send(path, { token: await this.token(), ...fields });
  }

  /** Sends any form, without adding a token. */
  send(path: string, fields: Fields, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) for (const each of [value].flat()) form.append(name, each);
    return this.ops.post(path, form, { Cookie: this.cookies, ...headers });
  }

  /** Submits a form and follows the redirect. @returns the page that reports the result. */
  async act(path: string, fields: Fields = {}): Promise<PageView> {
    const answer = await this.post(path, fields);
    assert.equal(answer.status, 303, textOf(answer.body));
    return this.view(answer.headers.location ?? '');
  }
}

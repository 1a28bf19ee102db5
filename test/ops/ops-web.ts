import { once } from 'node:events';
import http from 'node:http';
import app from '../../lib/app';
import { type EventMap, Events } from '../../lib/core/events';
import { readSettings } from '../../lib/core/settings';
import type { AppDefinition } from '../../lib/role/app/app-definition';
import { WebRole } from '../../lib/role/start/web';
import { Deadline } from '../../lib/support/deadline';
import { handOver } from '../support/hand-over';
import { type Answer, type RequestOptions, request } from '../support/http';
import { assertSnakeCase } from '../support/json-names';
import { createDatabase, type TestDatabase } from '../support/postgres';
import { startTestRedis, type TestRedis } from '../support/redis';
import { removeFolder, tempFolder } from '../support/temp-folder';
import type { Tree } from '../support/tree';
import { WAIT_LIMIT_MS } from '../support/wait-limit';
import { singleTree } from './single-tree';

/** The header that opens the pages when no passwords are set; `get` and `post` send it. */
export const OPS_TOKEN = 'token-of-the-tests';
export const BEARER = { Authorization: `Bearer ${OPS_TOKEN}` } as const;
export const SIGNED = { OPS_USER: 'ada', OPS_PASSWORD: 'correct: horse' };

/** The app's web process with real servers behind it, for tests of /ops. */
export class OpsWeb {
  readonly signIns: EventMap['operator.sign-in'][] = [];
  readonly errors: EventMap['request.error'][] = [];
  readonly mails: EventMap['operator.mails'][] = [];
  /** The events of operators' actions, by name and payload. */
  readonly operated: (readonly [name: string, payload: object])[] = [];
  url = '';
  private readonly endListening: () => void = () => {};

  private constructor(
    readonly folder: string,
    readonly database: TestDatabase,
    readonly redis: TestRedis,
    private readonly web: WebRole,
    events: Events,
  ) {
    events.on('operator.sign-in', (event) => this.signIns.push(event));
    events.on('request.error', (event) => this.errors.push(event));
    events.on('operator.mails', (event) => this.mails.push(event));
    events.onAny((name, payload) => {
      if (name.startsWith('operator.')) this.operated.push([name, payload]);
    });
  }

  /**
   * @param env overrides the settings of a developer's machine.
   * @param wayToPostgres maps the URL of Postgres to the one that the web process uses; default: the same.
   */
  static async start(
    env: Readonly<Record<string, string>> = {},
    definition: AppDefinition = app,
    wayToPostgres = async (url: string) => url,
  ): Promise<OpsWeb> {
    const folder = tempFolder('ops');
    const database = await createDatabase({ migrated: true });
    const redis = await startTestRedis();
    const config = readSettings({
      cwd: folder,
      env: {
        NODE_ENV: 'test',
        PORT: '0',
        HOST: '127.0.0.1',
        WEB_CONCURRENCY: '1',
        DATABASE_URL: await wayToPostgres(database.url),
        REDIS_URL: redis.url,
        MAIL_DELIVERY: 'file',
        OPS_TOKEN,
        ...env,
      },
    });
    const events = new Events();
    const web = new WebRole(definition, config, events, singleTree(config, events));
    const ops = new OpsWeb(folder, database, redis, web, events);
    await web.expectConnections();
    const { url, end } = await handOver(web);
    Object.assign(ops, { url, endListening: end });
    return ops;
  }

  async stop(): Promise<void> {
    this.endListening();
    await this.web.drain(Deadline.after(5000));
    await this.redis.remove();
    await this.database.drop();
    removeFolder(this.folder);
  }

  /** Stops the process, as a deploy does. @returns the number of requests that were cut off at the deadline, which is far away. */
  leave(): Promise<number> {
    this.endListening();
    return this.web.drain(Deadline.after(WAIT_LIMIT_MS));
  }

  /** The keys of every JSON response are checked: all pages use the same form. */
  async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const answer = await request(this.url + path, { headers: { ...BEARER, ...headers } });
    if (answer.headers['content-type']?.startsWith('application/json')) assertSnakeCase(answer.json(), path);
    return answer;
  }

  /** Opens a stream of events, like a page. */
  async stream(path = '/ops/events', headers: Readonly<Record<string, string>> = BEARER) {
    const asked = http.get(this.url + path, { headers: { Accept: 'text/event-stream', ...headers }, agent: false });
    const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
    let text = '';
    answer.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    return { answer, text: () => text, close: () => asked.destroy() };
  }

  /** Submits a form like a browser on one of the pages. */
  post(
    path: string,
    fields: Readonly<Record<string, string>> | URLSearchParams,
    headers: RequestOptions['headers'] = {},
  ): Promise<Answer> {
    return request(this.url + path, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: { ...BEARER, 'Content-Type': 'application/x-www-form-urlencoded', Origin: this.url, ...headers },
    });
  }

  /** Signs in. @returns the cookies of the session. */
  async signIn(password: string): Promise<string> {
    const page = await this.get('/ops/sign-in');
    const fields = { name: SIGNED.OPS_USER, password, token: tokenIn(page.body) };
    return cookiesOf(await this.post('/ops/sign-in', fields, { Cookie: cookiesOf(page) }));
  }
}

/** Signs in to a tree as a browser does. @param from headers of both requests. @returns the response; 303 means signed in. */
export async function signInTo(tree: Tree, password: string, from: RequestOptions['headers'] = {}): Promise<Answer> {
  const page = await tree.request('GET', '/ops/sign-in', { headers: from });
  const fields = { name: SIGNED.OPS_USER, password, token: tokenIn(page.body) };
  return postForm(tree, '/ops/sign-in', fields, { ...from, Cookie: cookiesOf(page) });
}

/** Submits a form of a page of a tree as a browser does. */
export function postForm(
  tree: Tree,
  target: string,
  fields: Readonly<Record<string, string>>,
  headers: RequestOptions['headers'] = {},
): Promise<Answer> {
  const type = { 'Content-Type': 'application/x-www-form-urlencoded', Origin: tree.baseUrl };
  return tree.request('POST', target, {
    body: new URLSearchParams(fields).toString(),
    headers: { ...type, ...headers },
  });
}

/** The cookies that a browser would send back. */
export function cookiesOf(answer: Answer): string {
  return (answer.headers['set-cookie'] ?? []).map((cookie) => cookie.split(';')[0]).join('; ');
}

/** The token of the first form on the page. */
export function tokenIn(page: string): string {
  return /name="token" value="([^"]+)"/.exec(page)?.[1] ?? '';
}

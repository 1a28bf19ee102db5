import http from 'node:http';

export type Outcome =
  | { readonly status: number; readonly body: string; readonly retryAfter?: string | undefined }
  /** No answer: the code of the error, or `hang`; and what else is known of it, for whoever has to find out why. */
  | { readonly error: string; readonly detail?: string };

/** Longer than anything that is still under way can take: a wait for a slot, for a connection, for a frozen process. */
const HANG_MS = 45_000;

export interface Sent {
  readonly method: string;
  readonly url: string;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request, and how it ended. Nothing is tried again, so nothing is hidden. */
export function exchange(agent: http.Agent, { method, url, json, headers = {} }: Sent): Promise<Outcome> {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return new Promise((resolve) => {
    const request = http.request(url, { method, agent, headers: { ...type, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', (error: NodeJS.ErrnoException) => end({ error: `${error.code} in the answer` }));
      response.on('end', () => {
        end({ status: response.statusCode ?? 0, body: text, retryAfter: response.headers['retry-after'] });
      });
    });
    const timer = setTimeout(() => {
      end({ error: 'hang' });
      request.destroy();
    }, HANG_MS);
    const end = (outcome: Outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    };
    request.on('error', (error: NodeJS.ErrnoException) => {
      const connection = request.reusedSocket ? 'a connection that had been used before' : 'a new connection';
      end({ error: error.code ?? error.message, detail: `${error.message}, on ${connection}` });
    });
    request.end(body);
  });
}

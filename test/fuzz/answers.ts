/** One HTTP/1.1 response, as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names are in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const HEAD = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\s:\0]+: [^\r\n\0]*\r\n)*)\r\n/;

/**
 * Reads all responses on a connection that has ended. The last one may be cut off.
 * @param text latin1, one character for each byte.
 * @throws Error if what follows a response, or the connection's first byte, does not begin another one.
 */
export function readAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = text; rest !== ''; ) {
    const [head, status = '', lines = ''] = HEAD.exec(rest) ?? [];
    if (head === undefined) throw new Error(`no response begins here: ${JSON.stringify(rest.slice(0, 200))}`);
    const headers = new Map(
      lines.split('\r\n').map((line) => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
      }),
    );
    const { body, length } = bodyOf(rest.slice(head.length), Number(status), headers);
    answers.push({ status: Number(status), headers, body });
    rest = rest.slice(head.length + length);
  }
  return answers;
}

function bodyOf(
  rest: string,
  status: number,
  headers: ReadonlyMap<string, string>,
): { readonly body: string; readonly length: number } {
  if (status < 200 || status === 204 || status === 304) return { body: '', length: 0 };
  if (headers.get('transfer-encoding') === 'chunked') return chunked(rest);
  const length = headers.get('content-length');
  // The response to HEAD has no body, whatever its length says: the next response follows at once, or nothing does.
  if (length !== undefined && !rest.startsWith('HTTP/1.1 '))
    return { body: rest.slice(0, Number(length)), length: Number(length) };
  if (length === undefined && headers.get('connection') === 'close') return { body: rest, length: rest.length };
  return { body: '', length: 0 };
}

function chunked(rest: string): { readonly body: string; readonly length: number } {
  let body = '';
  let at = 0;
  for (;;) {
    const [line, size] = /^([0-9a-f]+)\r\n/i.exec(rest.slice(at)) ?? [];
    if (line === undefined) return { body, length: rest.length };
    const count = Number.parseInt(size ?? '', 16);
    at += line.length + count + 2;
    if (count === 0) return { body, length: at };
    body += rest.slice(at - count - 2, at - 2);
  }
}

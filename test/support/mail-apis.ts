import { createHash, createHmac } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type ParsedMail, simpleParser } from 'mailparser';
import type { MailProvider } from '../../lib/core/config';

/** Keys that the servers of mail-apis accept, as settings. */
export const PROVIDER_KEYS = {
  resend: { RESEND_API_KEY: 're_HUSH123' },
  postmark: { POSTMARK_API_TOKEN: 'pm-HUSH-token' },
  ses: {
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'HUSH/aws+key',
    AWS_REGION: 'eu-central-1',
    AWS_SESSION_TOKEN: 'HUSH-session==',
  },
  mailgun: { MAILGUN_API_KEY: 'key-HUSH', MAILGUN_DOMAIN: 'mg.shop.example' },
} as const;

/** What a server has accepted. */
export interface AcceptedMail {
  /** Everybody it goes to, as bare addresses, sorted. */
  readonly to: readonly string[];
  /** Those whom the reader sees. */
  readonly shown: readonly string[];
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string | undefined;
  readonly replyTo: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly attachments: readonly {
    readonly name: string;
    readonly content: string;
    readonly cid: string | undefined;
  }[];
  /** undefined: the provider makes its own. */
  readonly messageId: string | undefined;
}

/** `lose the answer`: the mail is accepted, but nobody hears of it. `hang`: the same, and the connection stays open. */
export type ApiFault =
  | 'lose the answer'
  | 'hang'
  | 'drop'
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> };

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly raw: Buffer;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly accepted?: AcceptedMail;
}

type Api = (asked: Asked, limitBytes: number) => Promise<Answer>;

/** A server that speaks the documented API of a provider, strictly: it refuses what the documents do not have. */
export class MailApiServer {
  readonly accepted: AcceptedMail[] = [];
  readonly asked: Asked[] = [];
  /** The largest request, or, at SES, mail, bytes. A test may lower it. */
  limitBytes: number;
  /** What happens to the next requests, one each. */
  readonly faults: ApiFault[] = [];
  private readonly server: http.Server;

  private constructor(api: Api, limitBytes: number) {
    this.limitBytes = limitBytes;
    this.server = http.createServer((request, response) => {
      void this.serve(api, request, response).catch((error) => response.writeHead(599).end(String(error)));
    });
  }

  static async start(provider: MailProvider): Promise<MailApiServer> {
    const server = new MailApiServer(APIS[provider](), LIMITS[provider]);
    await new Promise<void>((resolve) => server.server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(api: Api, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const raw = await buffer(request);
    const asked = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, raw };
    this.asked.push(asked);
    const fault = this.faults.shift();
    if (fault === 'drop') return void request.socket.resetAndDestroy();
    if (typeof fault === 'object') return reply(response, { body: '', ...fault });
    const answer = await api(asked, this.limitBytes);
    if (answer.accepted) this.accepted.push(answer.accepted);
    if (fault === 'lose the answer') return void request.socket.resetAndDestroy();
    if (fault !== 'hang') reply(response, answer);
  }
}

function reply(response: http.ServerResponse, { status, body, headers }: Answer): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(text);
}

const LIMITS: Readonly<Record<MailProvider, number>> = { resend: 40e6, postmark: 10e6, ses: 40e6, mailgun: 25e6 };
const APIS: Readonly<Record<MailProvider, () => Api>> = { resend, postmark, ses, mailgun };

const ADDRESS = /^[\w.+-]+@[a-z0-9-]+(\.[a-z0-9-]+)+$/i;

/** @returns the bare address of `a@b.example`, `Ada <a@b.example>` or `"Ada, L." <a@b.example>`; undefined for anything else. */
function bare(given: unknown): string | undefined {
  if (typeof given !== 'string') return undefined;
  const [, address = given] = /^(?:"(?:[^"\\]|\\.)*"|[^",<>@]*) ?<([^<>]+)>$/.exec(given) ?? [];
  return ADDRESS.test(address) ? address : undefined;
}

/** @returns the addresses of a list with commas, also within quotes; undefined if one is wrong. */
function listed(given: unknown): string[] | undefined {
  if (given === '' || given === undefined) return [];
  if (typeof given !== 'string') return undefined;
  const parts = given.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  const all = parts.map((part) => bare(part.trim()));
  return all.includes(undefined) ? undefined : (all as string[]);
}

function parsed(raw: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(raw.toString()) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function extra(given: object, known: readonly string[]): string | undefined {
  return Object.keys(given).find((name) => !known.includes(name));
}

/** https://resend.com/docs/api-reference/emails/send-email, …/errors, and …/dashboard/emails/idempotency-keys */
function resend(): Api {
  const sent = new Map<string, { readonly payload: string; readonly id: string }>();
  const error = (status: number, name: string, message: string): Answer => ({
    status,
    body: { statusCode: status, name, message },
  });
  return async ({ method, path, headers, raw }, limitBytes) => {
    if (`${method} ${path}` !== 'POST /emails') return error(404, 'not_found', 'The requested endpoint does not exist');
    const { authorization } = headers;
    if (authorization === undefined) return error(401, 'missing_api_key', 'Missing API Key');
    if (authorization !== `Bearer ${PROVIDER_KEYS.resend.RESEND_API_KEY}`) {
      return error(401, 'validation_error', 'API key is invalid');
    }
    if (raw.length > limitBytes) return error(413, 'validation_error', 'Payload too large');
    const body = parsed(raw);
    if (!body || headers['content-type'] !== 'application/json') return error(400, 'validation_error', 'Invalid JSON');
    for (const field of ['from', 'to', 'subject'])
      if (!body[field]) return error(422, 'missing_required_field', `Missing \`${field}\` field.`);
    const unknown = extra(body, [
      ...['from', 'to', 'cc', 'bcc', 'reply_to', 'subject', 'html', 'text', 'headers', 'attachments'],
    ]);
    if (unknown) return error(422, 'validation_error', `Unknown field ${unknown}`);
    const from = bare(body.from);
    if (!from) return error(422, 'invalid_from_address', 'Invalid `from` field.');
    const lists = (['to', 'cc', 'bcc', 'reply_to'] as const).map((name) => {
      const list = body[name] ?? [];
      const all = Array.isArray(list) ? list.map(bare) : [undefined];
      return all.includes(undefined) || all.length > 50 ? undefined : (all as string[]);
    });
    const [to, cc, bcc, replyTo] = lists;
    if (!to || !cc || !bcc || !replyTo) return error(422, 'validation_error', 'Invalid `to` field.');
    if (to.some((address) => address.startsWith('rejected')))
      return error(422, 'validation_error', 'Invalid `to` field.');
    const attachments = (body.attachments ?? []) as readonly Readonly<Record<string, string>>[];
    for (const each of attachments) {
      if (extra(each, ['filename', 'content', 'content_type', 'content_id']))
        return error(422, 'invalid_attachment', '?');
      if (!each.content) return error(422, 'invalid_attachment', 'Attachment must have either a `content` or `path`.');
    }
    const key = headers['idempotency-key'];
    const payload = raw.toString();
    const id = createHash('sha256').update(`${sent.size}`).digest('hex').slice(0, 32);
    if (typeof key === 'string') {
      if (key.length < 1 || key.length > 256) return error(400, 'invalid_idempotency_key', 'between 1-256 characters');
      const before = sent.get(key);
      if (before && before.payload !== payload) {
        return error(409, 'invalid_idempotent_request', 'Same idempotency key used with a different request payload.');
      }
      if (before) return { status: 200, body: { id: before.id } };
      sent.set(key, { payload, id });
    }
    const accepted: AcceptedMail = {
      to: [...to, ...cc, ...bcc].sort(),
      shown: [...to, ...cc].sort(),
      from,
      subject: String(body.subject),
      text: String(body.text),
      html: body.html as string | undefined,
      replyTo: replyTo[0],
      headers: (body.headers ?? {}) as Readonly<Record<string, string>>,
      attachments: attachments.map(({ filename = '', content = '', content_id: cid }) => ({
        name: filename,
        content: Buffer.from(content, 'base64').toString(),
        cid,
      })),
      messageId: undefined,
    };
    return { status: 200, body: { id }, accepted };
  };
}

/** https://postmarkapp.com/developer/api/email-api and …/overview#error-codes */
function postmark(): Api {
  const error = (status: number, ErrorCode: number, Message: string): Answer => ({
    status,
    body: { ErrorCode, Message },
  });
  return async ({ method, path, headers, raw }, limitBytes) => {
    if (`${method} ${path}` !== 'POST /email') return { status: 404, body: '' };
    if (headers['x-postmark-server-token'] !== PROVIDER_KEYS.postmark.POSTMARK_API_TOKEN) {
      return error(401, 10, 'Request does not contain a valid Server token.');
    }
    if (raw.length > limitBytes) return { status: 413, body: '' };
    const isJson = headers['content-type'] === 'application/json' && headers.accept === 'application/json';
    const body = parsed(raw);
    if (!body || !isJson) return error(422, 402, 'Received invalid JSON input.');
    const unknown = extra(body, [
      ...['From', 'To', 'Cc', 'Bcc', 'Subject', 'Tag', 'HtmlBody', 'TextBody', 'ReplyTo', 'Headers', 'Attachments'],
      'MessageStream',
    ]);
    if (unknown) return error(422, 403, `Unknown field ${unknown}`);
    const from = bare(body.From);
    const lists = [listed(body.To), listed(body.Cc), listed(body.Bcc), listed(body.ReplyTo)] as const;
    const [to, cc, bcc, replyTo] = lists;
    if (!from) return error(422, 300, "Invalid 'From' address.");
    if (!to || !cc || !bcc || !replyTo) return error(422, 300, "Illegal email address found in the 'To' field.");
    if (to.length === 0) return error(422, 300, 'Zero recipients specified');
    const all = [...to, ...cc, ...bcc];
    if (all.length > 50) return error(422, 300, 'Maximum of 50 recipients allowed per email message.');
    if (all.some((address) => address.startsWith('rejected'))) return error(422, 300, "Invalid 'To' address.");
    if (!body.TextBody && !body.HtmlBody) return error(422, 300, 'Provide either email TextBody or HtmlBody or both.');
    const given = (body.Headers ?? []) as readonly { readonly Name: string; readonly Value: string }[];
    const own = Object.fromEntries(given.map(({ Name, Value }) => [Name, Value]));
    const attachments = (body.Attachments ?? []) as readonly Readonly<Record<string, string>>[];
    for (const each of attachments) {
      if (extra(each, ['Name', 'Content', 'ContentType', 'ContentID']) || !each.ContentType)
        return error(422, 403, '?');
    }
    const inactive = all.filter((address) => address.startsWith('inactive'));
    const why =
      'Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.';
    if (inactive.length === all.length) {
      return error(422, 406, `You tried to send to recipient(s) that have been marked as inactive. ${why}`);
    }
    const { 'Message-ID': messageId, 'X-PM-KeepID': keep, ...rest } = own;
    const accepted: AcceptedMail = {
      to: all.filter((address) => !inactive.includes(address)).sort(),
      shown: [...to, ...cc].sort(),
      from,
      subject: String(body.Subject),
      text: String(body.TextBody),
      html: body.HtmlBody as string | undefined,
      replyTo: replyTo[0],
      headers: rest,
      attachments: attachments.map(({ Name = '', Content = '', ContentID }) => ({
        name: Name,
        content: Buffer.from(Content, 'base64').toString(),
        cid: ContentID?.replace(/^cid:/, ''),
      })),
      messageId: keep === 'true' ? messageId : undefined,
    };
    const some = `Message OK, but will not deliver to these inactive addresses: ${inactive.join(', ')}. ${why}`;
    const Message = inactive.length > 0 ? some : 'OK';
    return { status: 200, body: { To: body.To, MessageID: 'b7bc2f4a', ErrorCode: 0, Message }, accepted };
  };
}

/** https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html */
function ses(): Api {
  const error = (status: number, type: string, message: string): Answer => ({
    status,
    body: { message },
    headers: { 'x-amzn-errortype': `${type}:http://internal.amazon.com/coral/com.amazonaws.services.ses/` },
  });
  return async (asked, limitBytes) => {
    if (`${asked.method} ${asked.path}` !== 'POST /v2/email/outbound-emails') return error(404, 'UnknownOperation', '');
    const mistake = signatureMistake(asked);
    // The service shows what it has signed itself.
    if (mistake) return error(403, 'InvalidSignatureException', `${mistake} ${JSON.stringify(asked.headers)}`);
    const body = parsed(asked.raw) as
      | { Destination?: { ToAddresses?: string[] }; Content?: { Raw?: { Data?: string } } }
      | undefined;
    const data = body?.Content?.Raw?.Data;
    const to = body?.Destination?.ToAddresses ?? [];
    if (!body || data === undefined) return error(400, 'BadRequestException', 'Content is required');
    const raw = Buffer.from(data, 'base64');
    if (raw.toString('base64') !== data) return error(400, 'BadRequestException', 'Data is not base64');
    if (raw.length > limitBytes) return error(400, 'MessageRejected', 'Message length is more than the limit');
    if (to.length === 0 || to.length > 50) return error(400, 'BadRequestException', 'Recipient count exceeds 50.');
    if (!to.every((address) => ADDRESS.test(address) && !address.startsWith('rejected'))) {
      return error(400, 'BadRequestException', 'Missing final @domain');
    }
    const accepted = fromMime(await simpleParser(raw, { keepCidLinks: true }), to);
    if (accepted.from.startsWith('unverified')) {
      return error(400, 'MessageRejected', `Email address is not verified: ${accepted.from}`);
    }
    return { status: 200, body: { MessageId: '0100018f-6d1c' }, accepted: { ...accepted, messageId: undefined } };
  };
}

/** Verifies Signature Version 4 from what has arrived. */
function signatureMistake({ method, path, headers, raw }: Asked): string | undefined {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_SESSION_TOKEN } = PROVIDER_KEYS.ses;
  const given =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=(\w+)$/;
  const [, id, day, region, service, names = '', signature] = given.exec(headers.authorization ?? '') ?? [];
  if (id !== AWS_ACCESS_KEY_ID) return 'The security token included in the request is invalid.';
  if (region !== AWS_REGION || service !== 'ses') return 'Credential should be scoped to a valid region and service.';
  const time = String(headers['x-amz-date']);
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  const age = Math.abs(Date.now() - Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`));
  if (!(age < 300_000) || time.slice(0, 8) !== day) return 'Signature expired.';
  const list = names.split(';');
  if ([...list].sort().join(';') !== names) return 'SignedHeaders are not sorted.';
  for (const name of ['host', 'content-type', 'x-amz-date', 'x-amz-security-token'])
    if (!list.includes(name)) return `${name} must be signed.`;
  if (headers['x-amz-security-token'] !== AWS_SESSION_TOKEN) return 'The security token is invalid.';
  const hash = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const canonical = [
    method,
    path,
    '',
    ...list.map((name) => `${name}:${String(headers[name]).trim()}`),
    '',
    names,
    hash(raw),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, `${day}/${region}/ses/aws4_request`, hash(canonical)].join('\n');
  const key = hmac(hmac(hmac(hmac(`AWS4${AWS_SECRET_ACCESS_KEY}`, day ?? ''), AWS_REGION), 'ses'), 'aws4_request');
  return hmac(key, toSign).toString('hex') === signature
    ? undefined
    : 'The request signature we calculated does not match.';
}

/** https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages/post-v3--domain-name--messages-mime */
function mailgun(): Api {
  const { MAILGUN_API_KEY, MAILGUN_DOMAIN } = PROVIDER_KEYS.mailgun;
  const error = (status: number, message: string): Answer => ({ status, body: { message } });
  return async ({ method, path, headers, raw }, limitBytes) => {
    const login = Buffer.from(`api:${MAILGUN_API_KEY}`).toString('base64');
    if (headers.authorization !== `Basic ${login}`) return { status: 401, body: 'Forbidden' };
    if (`${method} ${path}` !== `POST /v3/${MAILGUN_DOMAIN}/messages.mime`) return error(404, 'Domain not found');
    if (raw.length > limitBytes) return error(413, 'Request Entity Too Large');
    const type = headers['content-type'] ?? '';
    if (!type.startsWith('multipart/form-data')) return error(400, 'multipart/form-data is required');
    const form = await new Response(raw, { headers: { 'content-type': type } }).formData();
    const message = form.get('message');
    const to = listed(form.get('to') ?? undefined);
    if (to?.length === 0) return error(400, 'to parameter is missing');
    if (!to || to.length > 1000 || to.some((address) => address.startsWith('rejected'))) {
      return error(400, "'to' parameter is not a valid address. please check documentation");
    }
    if (!(message instanceof Blob)) return error(400, 'message parameter is missing');
    const accepted = fromMime(await simpleParser(Buffer.from(await message.arrayBuffer()), { keepCidLinks: true }), to);
    return { status: 200, body: { id: accepted.messageId, message: 'Queued. Thank you.' }, accepted };
  };
}

function fromMime(mail: ParsedMail, to: readonly string[]): AcceptedMail {
  const addresses = (field: ParsedMail['to']) =>
    [field ?? []].flat().flatMap(({ value }) => value.map(({ address = '' }) => address));
  return {
    to: [...to].sort(),
    // A header that names those in Bcc would show them to everybody.
    shown: [...addresses(mail.to), ...addresses(mail.cc), ...addresses(mail.bcc)].sort(),
    from: addresses(mail.from)[0] ?? '',
    subject: mail.subject ?? '',
    text: (mail.text ?? '').trim(),
    html: mail.html ? mail.html.trim() : undefined,
    replyTo: addresses(mail.replyTo)[0],
    headers: Object.fromEntries(
      mail.headerLines.filter(({ key }) => /^x-/.test(key)).map(({ line }) => line.split(/: ?/, 2) as [string, string]),
    ),
    attachments: mail.attachments.map(({ filename = '', content, contentId }) => ({
      name: filename,
      content: content.toString(),
      cid: contentId?.replace(/[<>]/g, ''),
    })),
    messageId: mail.messageId,
  };
}

import { createHash, createHmac } from 'node:crypto';
import type { OutgoingMessage } from '../definition/mail-types';
import { envelope } from './api-fields';
import type { MailApi } from './http-api';
import { composeMime } from './mime';

export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  /** Such as `eu-central-1`. */
  readonly region: string;
}

/** Errors of SendEmail about the account, the sender or a quota. */
const ABOUT_US =
  /AccountSuspended|SendingPaused|MailFromDomainNotVerified|LimitExceeded|TooManyRequests|Throttling|Token|Signature|AccessDenied|NotAuthorized/;
/** A MessageRejected about the sender, or an account that may write to few people only. */
const UNVERIFIED = /not verified|not authorized/i;

/**
 * https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html, with the mail as we write it. SES gives it a
 * Message-ID of its own, and knows no idempotency keys: a mail whose answer was lost is sent again.
 */
export function ses(keys: AwsKeys, url = `https://email.${keys.region}.amazonaws.com`): MailApi {
  const path = '/v2/email/outbound-emails';
  const json = { 'content-type': 'application/json' };
  return {
    name: 'ses',
    url,
    settings: 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION',
    secrets: [keys.secretAccessKey, keys.sessionToken].filter((secret) => secret !== undefined),
    async request(message) {
      const body = JSON.stringify(message ? await mailOf(message) : {});
      return { path, body, headers: sign(keys, 'ses', new URL(url + path), json, body, new Date()) };
    },
    isPassing: ({ headers, text }) => ABOUT_US.test(headers.get('x-amzn-errortype') ?? text) || UNVERIFIED.test(text),
  };
}

async function mailOf(message: OutgoingMessage) {
  const mime = await composeMime({ ...message, bcc: [] });
  return { Destination: { ToAddresses: envelope(message) }, Content: { Raw: { Data: mime.toString('base64') } } };
}

/**
 * Signs a POST by Signature Version 4.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 * @param given the headers besides those of the signature, in lower case.
 * @returns all headers to send.
 */
export function sign(
  { accessKeyId, secretAccessKey, sessionToken, region }: AwsKeys,
  service: string,
  url: URL,
  given: Readonly<Record<string, string>>,
  body: string,
  now: Date,
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`;
  const token = sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken };
  const headers = { ...given, 'x-amz-date': time, ...token };
  const signed = Object.entries({ ...headers, host: url.host }).sort(([a], [b]) => (a < b ? -1 : 1));
  const names = signed.map(([name]) => name).join(';');
  const lines = signed.map(([name, value]) => `${name}:${value}\n`).join('');
  // Its path is encoded a second time.
  const path = url.pathname.split('/').map(uriEncode).join('/');
  const canonical = ['POST', path, '', lines, names, sha256(body)].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = scope.split('/').reduce<string | Buffer>((from, part) => hmac(from, part), `AWS4${secretAccessKey}`);
  const credential = `Credential=${accessKeyId}/${scope}`;
  const signature = `Signature=${hmac(key, toSign).toString('hex')}`;
  return { ...headers, authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, ${signature}` };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

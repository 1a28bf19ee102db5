import { createHash, createHmac } from 'node:crypto';
import type { OutgoingMessage } from '../definition/mail-types';
import { envelope } from './api-fields';
import type { ApiAnswer, ApiRequest, MailApi } from './http-api';
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
export class Ses implements MailApi {
  readonly name = 'ses';
  readonly settings = 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION';
  readonly secrets: readonly string[];

  constructor(
    private readonly keys: AwsKeys,
    readonly url = `https://email.${keys.region}.amazonaws.com`,
  ) {
    this.secrets = [keys.secretAccessKey, keys.sessionToken].filter((secret) => secret !== undefined);
  }

  async request(message: OutgoingMessage | undefined): Promise<ApiRequest> {
    const path = '/v2/email/outbound-emails';
    const body = JSON.stringify(message ? await this.mail(message) : {});
    const json = { 'content-type': 'application/json' };
    return { path, body, headers: sign(this.keys, 'ses', new URL(this.url + path), json, body, new Date()) };
  }

  private async mail(message: OutgoingMessage) {
    const mime = await composeMime({ ...message, bcc: [] });
    return { Destination: { ToAddresses: envelope(message) }, Content: { Raw: { Data: mime.toString('base64') } } };
  }

  isPassing({ headers, text }: ApiAnswer): boolean {
    return ABOUT_US.test(headers.get('x-amzn-errortype') ?? text) || UNVERIFIED.test(text);
  }
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
  const canonical = ['POST', url.pathname, '', lines, names, sha256(body)].join('\n');
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

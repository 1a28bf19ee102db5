import { setTimeout as wait } from 'node:timers/promises';
import { RateLimited } from '../../job/definition/errors';
import { Backoff } from '../../support/backoff';
import { toError } from '../../support/to-error';
import type { DeliveryMethod } from '../definition/delivery-method';
import { PermanentDeliveryError } from '../definition/errors';
import type { OutgoingMessage, Receipt, Refusal } from '../definition/mail-types';
import { LimitedSends } from './limited-sends';

/** A mail waits here for as long when the provider asks it to, ms. For a longer time its job gives the place to others. */
const PATIENCE_MS = 2000;
/** The first and the longest wait after a 429 that names none, ms. SES recommends up to ten minutes. */
const UNNAMED_WAIT_MS = { base: 1000, max: 600_000 };
/** Length of an answer that is kept. */
const SHOWN = 500;
/** The mail itself is refused: malformed, too large, to an address that the provider does not send to, or another than before. */
const ABOUT_THE_MAIL = [400, 409, 413, 422];

export interface ApiRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | FormData;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Its body, if that is a JSON object; otherwise empty. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** What is peculiar to one provider's API. */
export interface MailApi {
  /** As MAIL_DELIVERY names it. */
  readonly name: string;
  /** Without a path that every request has, and without a `/` at its end. */
  readonly url: string;
  /** The variables of its keys, for the error when they are refused. */
  readonly settings: string;
  /** Never shown, even if the provider repeats them. */
  readonly secrets: readonly string[];
  /** @param message undefined: a request without any mail, which the provider must refuse. */
  request(message: OutgoingMessage | undefined): ApiRequest | Promise<ApiRequest>;
  /** true: a 400, 409, 413 or 422 is about our account or key, or passes, so that the mail is tried again. */
  isPassing?(answer: ApiAnswer): boolean;
  /** Recipients that an accepted mail does not go to. */
  refused?(answer: ApiAnswer): readonly Refusal[];
}

/**
 * Sends by the HTTPS API of a provider. Nobody sends on while the provider asks to wait (429): a mail waits for two seconds at
 * most, and then its job runs again when the time is over.
 */
export class HttpApi implements DeliveryMethod {
  readonly name: string;
  private readonly sends: LimitedSends;
  private readonly unnamedWait = new Backoff(UNNAMED_WAIT_MS);
  private heldUntil = 0;
  private heldBy = '';

  /** @param sendMs limit of a whole delivery, ms. Default 20,000. */
  constructor(
    private readonly api: MailApi,
    sendMs?: number,
  ) {
    this.name = api.name;
    this.sends = new LimitedSends(api.name, sendMs);
  }

  send(message: OutgoingMessage): Promise<Receipt> {
    return this.sends.run((signal) => this.deliver(message, signal));
  }

  private async deliver(message: OutgoingMessage, signal: AbortSignal): Promise<Receipt> {
    const patientUntil = Date.now() + PATIENCE_MS;
    let answer: ApiAnswer;
    do {
      await this.turn(patientUntil, signal);
      answer = await this.ask(message, signal);
    } while (answer.status === 429);
    this.unnamedWait.reset();
    if (answer.status < 200 || answer.status > 299) throw this.failure(answer);
    const refused = this.api.refused?.(answer) ?? [];
    return { messageId: message.messageId, response: words(answer), ...(refused.length > 0 ? { refused } : {}) };
  }

  /** Asks for a mail without anything in it, which the provider refuses for what it lacks once it has accepted the key. */
  async verify(): Promise<void> {
    const answer = await this.sends.run((signal) => this.ask(undefined, signal));
    const failure = this.failure(answer);
    if (!(failure instanceof PermanentDeliveryError) && answer.status !== 429) throw failure;
  }

  async close({ force } = { force: false }): Promise<void> {
    if (force) this.sends.cutOff();
  }

  /** Waits while the provider wants no mail. @throws RateLimited if that takes longer than a mail waits here. */
  private async turn(patientUntil: number, signal: AbortSignal): Promise<void> {
    for (let waitMs = this.heldUntil - Date.now(); waitMs > 0; waitMs = this.heldUntil - Date.now()) {
      if (this.heldUntil > patientUntil) {
        const message = `${this.name} accepts no mail for ${waitMs} ms (${this.heldBy})`;
        throw Object.assign(new RateLimited({ after: waitMs }), { message, response: this.heldBy });
      }
      await wait(waitMs, undefined, { signal });
    }
  }

  private async ask(message: OutgoingMessage | undefined, signal: AbortSignal): Promise<ApiAnswer> {
    const { path, headers, body } = await this.api.request(message);
    let response: Response;
    let text: string;
    try {
      // A redirect would carry the key to another server.
      response = await fetch(this.api.url + path, { method: 'POST', headers, body, signal, redirect: 'manual' });
      text = await response.text();
    } catch (thrown) {
      const { cause = thrown } = toError(thrown);
      throw new Error(`${this.name} cannot be reached: ${toError(cause).message}`, { cause });
    }
    for (const secret of this.api.secrets) text = text.replaceAll(secret, '…');
    const answer: ApiAnswer = { status: response.status, headers: response.headers, text, json: readJson(text) };
    if (answer.status === 429) {
      const waitMs = readRetryAfter(answer.headers.get('retry-after')) ?? this.unnamedWait.next();
      this.heldUntil = Math.max(this.heldUntil, Date.now() + waitMs);
      this.heldBy = words(answer);
    }
    return answer;
  }

  private failure(answer: ApiAnswer): Error {
    const { status } = answer;
    const response = words(answer);
    if (ABOUT_THE_MAIL.includes(status) && !this.api.isPassing?.(answer))
      return new PermanentDeliveryError(response, status);
    const remedy = status < 500 && status !== 429 ? `: look at ${this.api.settings} and at your account there` : '';
    return Object.assign(new Error(`${this.name} does not accept mails (${response})${remedy}`), { response });
  }
}

/** @returns an answer in one line, such as `422 Invalid to`. */
function words({ status, headers, text, json }: ApiAnswer): string {
  const said = [
    headers.get('x-amzn-errortype'),
    json.name,
    json.ErrorCode,
    json.message,
    json.Message,
    json.id,
    json.MessageID,
    json.MessageId,
  ];
  const line = said.filter((each) => typeof each === 'string' || typeof each === 'number').join(' ');
  return `${status} ${(line || text).replace(/\s+/g, ' ').slice(0, SHOWN)}`.trim();
}

function readJson(text: string): ApiAnswer['json'] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as ApiAnswer['json']) : {};
  } catch {
    return {};
  }
}

/** @returns the time of a Retry-After (RFC 9110, 10.2.3) from now, ms; at least 1 s and at most a day; undefined: there is none. */
function readRetryAfter(value: string | null): number | undefined {
  if (value === null) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 1000), 86_400_000);
}

import vm from 'node:vm';
import { KillJob, NotHereError } from '../../job/definition/errors';
import { toError } from '../../support/to-error';
import type { Refusal } from './mail-types';

/**
 * The mail cannot be built as asked: no sender, no recipient, an invalid address, a line break in a header. The job
 * dies at once, since a retry would fail in the same way.
 */
export class InvalidMailError extends KillJob {
  override readonly name = 'InvalidMailError';
}

/** An attached file cannot be read. It may be there at the next retry. */
export class AttachmentError extends Error {
  override readonly name = 'AttachmentError';
}

/** An enqueued mail names a mailer or an action that this app does not have. Its job is left to processors that have it. */
export class UnknownMailerError extends NotHereError {
  override readonly name = 'UnknownMailerError';
}

/** Thrown by `cancel()` inside a mailer: the mail is not sent. This does not count as a failure. */
export class MailCancelled extends Error {
  override readonly name = 'MailCancelled';
}

/** The action has no template, or its layout lacks a part that the action has. */
export class MissingTemplateError extends Error {
  override readonly name = 'MissingTemplateError';
}

/** A template or subject asked for a text that no locale file has. */
export class MissingTextError extends Error {
  override readonly name = 'MissingTextError';
}

/** Another run of the same job is sending this mail right now. A later retry finds out whether it was sent. */
export class DeliveryInProgressError extends Error {
  override readonly name = 'DeliveryInProgressError';
}

/**
 * The server accepted the mail for some recipients and refused others temporarily (4xx). The job's next run sends it
 * to these alone.
 */
export class PartialDeliveryError extends Error {
  override readonly name = 'PartialDeliveryError';

  constructor(
    /** Recipients that are still to be tried, with the server's answers. */
    readonly pending: readonly Refusal[],
  ) {
    const answers = pending.map(({ address, answer }) => `${address}: ${answer}`).join('; ');
    super(`the server accepted the mail for the others, but not yet for ${answers}`);
  }
}

/** The server refused the mail for good. The job dies at once, and the dead set shows the answer. */
export class PermanentDeliveryError extends KillJob {
  override readonly name = 'PermanentDeliveryError';

  /**
   * @param answer of the server, such as `550 5.1.1 no such user`.
   * @param code the SMTP reply code or the HTTP status, such as 550 or 422.
   */
  constructor(
    readonly answer: string,
    readonly code: number,
    cause?: unknown,
  ) {
    super(`the mail server refused the mail for good: ${answer}`, { cause });
  }

  /** The answer, as the delivery record keeps it. */
  get response(): string {
    return this.answer;
  }
}

/** A template does not compile or fails while it renders. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';

  constructor(
    /** Path of the template's file. */
    readonly template: string,
    /** The line of that file, from 1; null: unknown. */
    readonly line: number | null,
    reason: string,
    cause: unknown,
  ) {
    super(`${template}${line === null ? '' : `:${line}`}: ${reason}`, { cause });
  }
}

/**
 * Parses the message of an EJS runtime error: `file:line`, an excerpt and the reason. Each include adds another place;
 * the last one is where the error occurred.
 */
export function renderingError(template: string, thrown: unknown): TemplateError {
  if (thrown instanceof TemplateError) return thrown;
  const error = toError(thrown);
  const places = [...error.message.matchAll(/^(.+\.ejs):(\d+)$/gm)];
  const [, file = template, line] = places.at(-1) ?? [];
  const reason = error.message.split('\n\n').at(-1)?.trim() || error.name;
  return new TemplateError(file, line === undefined ? null : Number(line), reason, thrown);
}

/** EJS does not report the line of a syntax error, so the template's script is compiled again with its lines kept. */
export function compilingError(template: string, source: string, thrown: unknown): TemplateError {
  const error = toError(thrown);
  const reason = error.message.split('\n')[0]?.replace(/ in .*$/, '') ?? error.name;
  return new TemplateError(template, unclosedLine(source) ?? syntaxErrorLine(source), reason, thrown);
}

function unclosedLine(source: string): number | null {
  const open = source.lastIndexOf('<%');
  return open > source.lastIndexOf('%>') ? lineAt(source, open) : null;
}

function lineAt(source: string, index: number): number {
  return source.slice(0, index).split('\n').length;
}

function syntaxErrorLine(source: string): number | null {
  const script = source.replace(/([\s\S]*?)(?:<%([-=_#%]?)([\s\S]*?)[-_]?%>|$)/g, (_, text: string, kind, code) => {
    const breaks = text.replace(/[^\n]/g, '');
    if (code === undefined || kind === '%') return breaks;
    if (kind === '#') return breaks + String(code).replace(/[^\n]/g, '');
    return kind === '=' || kind === '-' ? `${breaks};(${code})` : `${breaks};${code}`;
  });
  try {
    new vm.Script(`(function () {${script}\n})`, { filename: 'template' });
    return null;
  } catch (error) {
    const line = /^template:(\d+)/.exec(toError(error).stack ?? '')?.[1];
    return line === undefined ? null : Math.min(Number(line), source.split('\n').length);
  }
}
